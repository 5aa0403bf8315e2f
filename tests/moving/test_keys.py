"""Keys that keyshield and fastapi-keygate made are imported, and work."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from keyshield.hasher.base import ApiKeyHasher, MockApiKeyHasher

from callcov_auth.errors import InvalidToken, RateLimited, TokenExpired, TokenRevoked
from callcov_auth.keys.salted import MAX_CANDIDATES
from callcov_auth.principal import Principal
from tests.cli.conftest import folder, installation
from tests.cli.running import EMAIL, add_user, run, run_json, with_auth
from tests.moving.theirs import (
    KEYSHIELD_COLUMNS,
    PEPPER,
    exported,
    keygate_at,
    keyshields_argon2,
    keyshields_bcrypt,
    keyshields_keys,
    rows_of,
    write_csv,
)
from tests.support.clock import Clock
from tests.support.databases import Database

__all__ = ["folder", "installation"]

HASHERS = {"argon2": keyshields_argon2, "bcrypt": keyshields_bcrypt}
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


@pytest.fixture(autouse=True)
def settings(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "ak_v1-,kg_")
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps([PEPPER]))


@pytest.fixture
def owner() -> str:
    return add_user(EMAIL, "calls:read", "calls:write")


def caller(key: str) -> Principal:
    return with_auth(lambda auth: auth.authenticate(f"Bearer {key}"))


def refusal_of(key: str) -> type[Exception]:
    with pytest.raises((InvalidToken, TokenExpired, TokenRevoked)) as caught:
        caller(key)
    return caught.type


def other(key: str) -> str:
    """Another key that keyshield would look up as the same, with the same hash's costs."""
    return key[:-1] + ("a" if key[-1] != "a" else "b")


def keyshield(*keys: dict[str, Any], hasher: ApiKeyHasher, **options: Any) -> list[str]:
    made = anyio.run(lambda: keyshields_keys("sqlite+aiosqlite:///app.db", *keys, hasher=hasher, **options))
    exported(Path("app.db"), f"SELECT {KEYSHIELD_COLUMNS} FROM api_keys ORDER BY created_at", "keys.csv")
    return made


def import_all(*options: str, number: int = 1) -> None:
    report = run_json("keys", "import", "keys.csv", *options)
    assert report == {"imported": number, "present": 0, "refused": 0, "refusals": []}


FROM_KEYSHIELD = ("--from", "keyshield", "--owner", EMAIL)


def refusals(*options: str) -> list[tuple[int, str]]:
    report = json.loads(run("keys", "import", "keys.csv", *options, "--json").stdout)
    return [(refusal["line"], refusal["field"]) for refusal in report["refusals"]]


# keyshield


@pytest.mark.parametrize("name", HASHERS)
def test_keyshields_keys_work_and_are_ours_after_their_first_use(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = keyshield(
        {"name": "all", "description": "of it", "scopes": ["calls:read", "calls:write"], "expires_at": LATER},
        {"scopes": ["calls:read"]},
        {},
        hasher=HASHERS[name](),
    )
    import_all(*FROM_KEYSHIELD, number=3)
    for text in texts:
        assert refusal_of(other(text)) is InvalidToken
    first, second, third = (caller(text) for text in texts)
    assert {first.subject, second.subject, third.subject} == {owner}
    assert first.scopes == {"calls:read", "calls:write"}
    assert second.scopes == {"calls:read"}
    assert third.scopes == frozenset(), "it may not do more than it could"
    assert (first.expires_at, second.expires_at) == (LATER.timestamp(), None)

    listed = {key["id"]: key for key in run_json("keys", "list")["api_keys"]}
    assert listed[first.key_id]["name"] == "all"
    assert listed[first.key_id]["description"] == "of it"
    assert listed[second.key_id]["name"] == texts[1].split("-")[1]
    assert listed[first.key_id]["key_prefix"] == texts[0][:14]

    # The pepper is needed no more, and a hash that is slow is checked no more.
    monkeypatch.delenv("CALLCOV_AUTH_IMPORT_PEPPERS")
    monkeypatch.setattr("callcov_auth.keys.salted.is_hash_of", None)
    assert [caller(text).key_id for text in texts] == [first.key_id, second.key_id, third.key_id]
    assert run("doctor").exit_code == 0


@pytest.mark.parametrize("name", HASHERS)
def test_every_character_of_keyshields_key_counts(owner: str, name: str) -> None:
    """The store looks for its first 14: those between them and the secret are compared, too."""
    (text,) = keyshield({}, hasher=HASHERS[name]())
    import_all(*FROM_KEYSHIELD)
    start, key_id, secret = text.rpartition("-")[0][:-1], text[21], text[23:]
    assert f"{start}{key_id}-{secret}" == text
    wrong = "0" if key_id != "0" else "1"
    for near in (
        f"{start}{wrong}-{secret}",
        f"{start}{key_id}_{secret}",
        f"{start}-{secret}",
        f"{text}a",
        text[:-1],
    ):
        assert refusal_of(near) is InvalidToken
    assert caller(text).subject == owner


def test_without_its_pepper_keyshields_key_is_unknown_and_doctor_names_it(
    owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = keyshield({"name": "k"}, hasher=keyshields_argon2())
    import_all(*FROM_KEYSHIELD)
    (key,) = run_json("keys", "list")["api_keys"]
    (finding,) = json.loads(run("doctor", "--json").stdout)["findings"]
    assert finding["problem"] == f"1 still need an import pepper: {key['id']}"

    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", '["of a third program"]')
    assert refusal_of(text) is InvalidToken
    (finding,) = json.loads(run("doctor", "--json").stdout)["findings"]
    assert "CALLCOV_AUTH_IMPORT_PEPPERS" in finding["cure"]

    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps(["of a third program", PEPPER]))
    assert caller(text).subject == owner


def test_keyshields_default_pepper_can_be_named(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="default pepper"):
        hasher = keyshields_argon2("")
    (text,) = keyshield({}, hasher=hasher)
    told = run("keys", "import", "keys.csv", *FROM_KEYSHIELD, "--json")
    assert told.exit_code == 0
    assert refusal_of(text) is InvalidToken

    default = re.findall(r"super-\S+(?=\))", _refusal_without_a_pepper(monkeypatch))
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps(default))
    Path("callcov_auth.db").unlink()
    add_user(EMAIL)
    import_all(*FROM_KEYSHIELD)
    assert caller(text).kind == "api_key"


def _refusal_without_a_pepper(monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.delenv("CALLCOV_AUTH_IMPORT_PEPPERS")
        refused = run("keys", "import", "keys.csv", *FROM_KEYSHIELD)
    assert refused.exit_code == 2
    return refused.stderr


def test_a_key_that_is_not_active_is_revoked_and_one_that_expired_has_expired(owner: str) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    texts = keyshield({"is_active": False}, {"expires_at": soon}, hasher=keyshields_argon2(), verifies=False)
    import_all(*FROM_KEYSHIELD, number=2)
    anyio.run(anyio.sleep, max(0, soon.timestamp() - datetime.now(UTC).timestamp()))
    assert [refusal_of(text) for text in texts] == [TokenRevoked, TokenExpired]
    assert len(run_json("keys", "list")["api_keys"]) == 0


def test_a_key_that_was_revoked_takes_no_room(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_MAX_ACTIVE_KEYS", "1")
    keyshield({"is_active": False}, {}, {"is_active": False}, {}, hasher=keyshields_bcrypt(), verifies=False)
    assert refusals(*FROM_KEYSHIELD) == [(5, "owner")]


def test_keyshield_with_a_prefix_and_a_separator_of_ones_own(
    owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = keyshield({}, hasher=keyshields_bcrypt(), global_prefix="acme", separator=".")
    assert text.startswith("acme.")
    told = run("keys", "import", "keys.csv", *FROM_KEYSHIELD, "--prefix", "acme.")
    assert told.exit_code == 2
    assert "add it to CALLCOV_AUTH_IMPORT_PREFIXES" in told.stderr
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "acme.")
    import_all(*FROM_KEYSHIELD, "--prefix", "acme.")
    assert caller(text).subject == owner


def test_a_prefix_so_long_that_it_tells_no_keys_apart_is_told(
    owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyshield({}, hasher=keyshields_bcrypt(), global_prefix="acme-corp", separator="_")
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "acme-corp_")
    import_all(*FROM_KEYSHIELD, "--prefix", "acme-corp_")
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "acme-corp-_")
    told = run("keys", "import", "keys.csv", *FROM_KEYSHIELD, "--prefix", "acme-corp-_")
    assert told.exit_code == 1
    assert told.stderr.startswith("line 2: key_id is needed for a salted hash: 4 characters or more")


def test_whose_a_key_is_may_stand_in_a_column(owner: str) -> None:
    (text,) = keyshield({}, hasher=keyshields_bcrypt())
    exported(Path("app.db"), f"SELECT {KEYSHIELD_COLUMNS}, '{EMAIL}' AS owner FROM api_keys", "keys.csv")
    import_all("--from", "keyshield")
    assert caller(text).subject == owner
    exported(Path("app.db"), f"SELECT {KEYSHIELD_COLUMNS} FROM api_keys", "keys.csv")
    told = run("keys", "import", "keys.csv", "--from", "keyshield")
    assert (told.exit_code, told.stderr) == (2, "error: The header lacks columns: add owner.\n")


def test_all_columns_may_be_there_and_an_import_can_be_run_again(owner: str) -> None:
    texts = keyshield({}, {}, hasher=keyshields_bcrypt())
    exported(Path("app.db"), "SELECT * FROM api_keys", "keys.csv")
    import_all(*FROM_KEYSHIELD, number=2)
    caller(texts[0])
    assert run_json("keys", "import", "keys.csv", *FROM_KEYSHIELD)["present"] == 2


def test_as_json_lines(owner: str) -> None:
    (text,) = keyshield({"scopes": ["calls:read"], "expires_at": LATER}, hasher=keyshields_argon2())
    row = dict(zip(*rows_of("keys.csv"), strict=True))
    fields = {**row, "scopes": ["calls:read"], "is_active": True, "description": None, "name": None}
    Path("keys.csv").write_text(json.dumps(fields) + "\n")
    import_all(*FROM_KEYSHIELD)
    assert caller(text).scopes == {"calls:read"}

    lacking = {name: value for name, value in fields.items() if name != "expires_at"}
    Path("keys.csv").write_text(json.dumps(lacking))
    assert refusals(*FROM_KEYSHIELD) == [(1, "expires_at")]


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"key_hash": "c2FsdA==$secretpepper"}, "key_hash"),
        ({"is_active": ""}, "is_active"),
        ({"is_active": "yes"}, "is_active"),
        ({"scopes": "calls:read"}, "scopes"),
        ({"scopes": '["calls:admin"]'}, "scopes"),
        ({"scopes": "[" * 50_000}, "scopes"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"created_at": "2999-01-01 00:00:00"}, "created_at"),
        ({"key_id": ""}, "key_id"),
        ({"key_id": "$" * 16}, "key_id"),
        ({"name": "n" * 101}, "name"),
    ],
)
def test_what_of_keyshields_is_refused_names_their_column(
    owner: str, changes: dict[str, str], column: str
) -> None:
    keyshield({"name": "n"}, hasher=keyshields_bcrypt())
    header, row = rows_of("keys.csv")
    write_csv("keys.csv", header, [[changes.get(name, cell) for name, cell in zip(header, row, strict=True)]])
    assert {(2, column)} == set(refusals(*FROM_KEYSHIELD))


def test_keyshields_mock_is_no_hash(owner: str) -> None:
    keyshield({}, hasher=MockApiKeyHasher(PEPPER))
    assert refusals(*FROM_KEYSHIELD) == [(2, "key_hash")]


def test_no_more_of_one_prefix_are_taken_than_are_checked(owner: str) -> None:
    keyshield(
        *({"key_id": f"0123456789abcde{number}"} for number in range(MAX_CANDIDATES + 1)),
        hasher=keyshields_bcrypt(),
    )
    assert refusals(*FROM_KEYSHIELD) == [(MAX_CANDIDATES + 2, "key_id")]


# fastapi-keygate

KEYGATE_COLUMNS = (
    "owner_id, prefix, key_hash, name, per_minute, per_hour, created_at, revoked_at, expires_at, scopes"
)
FROM_KEYGATE = ("--from", "fastapi-keygate")


@pytest.fixture
def keygate(installation: Path) -> Iterator[Any]:
    gate = keygate_at("sqlite:///keygate.db")
    yield gate
    gate._engine.dispose()


def export_keygate() -> None:
    exported(Path("keygate.db"), f"SELECT {KEYGATE_COLUMNS} FROM keygate_keys ORDER BY id", "keys.csv")


def add_owner(owner: str, *scopes: str) -> None:
    write_csv("owners.csv", ["id", "email"], [[owner, f"{owner}@example.com"]])
    given = [part for scope in scopes for part in ("--scope", scope)]
    assert run_json("users", "import", "owners.csv", *given)["imported"] == 1


def test_keygates_keys_work_as_they_did(keygate: Any) -> None:
    add_owner("acme", "calls:read", "calls:write")
    ends = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=3)
    plain = keygate.create_key("acme")
    named = keygate.create_key("acme", name="n", per_minute=None, scopes=["calls:read"], expires_at=ends)
    hourly = keygate.create_key("acme", per_minute=None, per_hour=1)
    revoked = keygate.create_key("acme", per_minute=None)
    keygate.revoke(revoked.id)
    export_keygate()

    import_all(*FROM_KEYGATE, number=4)

    assert {caller(each.key).subject for each in (plain, named, hourly)} == {"acme"}
    assert caller(plain.key).scopes == frozenset()
    assert caller(named.key).scopes == {"calls:read"}
    assert caller(named.key).expires_at == ends.replace(tzinfo=UTC).timestamp()
    assert refusal_of(revoked.key) is TokenRevoked
    assert refusal_of(plain.key[:-1]) is InvalidToken
    keys = {key["name"]: key for key in run_json("keys", "list", "--all")["api_keys"]}
    assert keys["n"]["rate"] is None
    assert keys[plain.prefix]["rate"] == "60/minute"
    assert keys[hourly.prefix]["rate"] == "1/hour"
    assert keys["n"]["key_prefix"] == named.key[:12]
    assert keys["n"]["created_at"][:10] == named.created_at.date().isoformat()


def test_keygates_rates_hold(keygate: Any) -> None:
    add_owner("acme")
    limited = keygate.create_key("acme", per_minute=2)
    export_keygate()
    import_all(*FROM_KEYGATE)

    async def use(auth: Any) -> int:
        for used in range(5):
            try:
                await auth.authenticate(f"Bearer {limited.key}")
            except RateLimited:
                return used
        return 5

    assert with_auth(use, clock=Clock(datetime.now(UTC).timestamp())) == 2


def test_keygates_import_can_be_run_again(keygate: Any) -> None:
    add_owner("acme")
    first = keygate.create_key("acme")
    export_keygate()
    import_all(*FROM_KEYGATE)
    caller(first.key)
    second = keygate.create_key("acme")
    export_keygate()
    report = run_json("keys", "import", "keys.csv", *FROM_KEYGATE)
    assert (report["imported"], report["present"]) == (1, 1)
    assert caller(second.key).subject == "acme"


def test_what_of_keygates_is_refused_names_their_column(keygate: Any) -> None:
    add_owner("acme")
    keygate.create_key("nobody")
    keygate.create_key("acme", per_minute=1, per_hour=10)
    keygate.create_key("acme", scopes=["*"])
    export_keygate()
    assert refusals(*FROM_KEYGATE) == [(2, "owner_id"), (3, "per_hour"), (4, "scopes")]
    assert run_json("keys", "list") == {"api_keys": []}


def test_keygates_keys_are_not_imported_where_no_server_would_take_them(
    keygate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_owner("acme")
    made = keygate.create_key("acme")
    export_keygate()
    with monkeypatch.context() as patch:
        patch.delenv("CALLCOV_AUTH_IMPORT_PREFIXES")
        refused = run("keys", "import", "keys.csv", *FROM_KEYGATE)
        assert refused.exit_code == 2
        assert "kg_" in refused.stderr
        assert "CALLCOV_AUTH_IMPORT_PREFIXES" in refused.stderr
    import_all(*FROM_KEYGATE)
    monkeypatch.delenv("CALLCOV_AUTH_IMPORT_PREFIXES")
    assert refusal_of(made.key) is InvalidToken
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "*")
    assert caller(made.key).subject == "acme"


def test_a_key_of_another_program_that_was_met_is_no_guess(keygate: Any) -> None:
    """In a flood of refused keys it goes on working, however its header is written."""
    add_owner("acme")
    made = keygate.create_key("acme")
    export_keygate()
    import_all(*FROM_KEYGATE)

    async def met(auth: Any) -> list[bool]:
        header = f"bearer  {made.key}".encode()
        before = auth.has_met(header)
        await auth.authenticate(f"Bearer {made.key}")
        return [before, auth.has_met(header)]

    assert with_auth(met) == [False, True]


# A table of PostgreSQL's


def test_as_postgres_writes_it(owner: str, postgres_database: Database) -> None:
    postgres_url = postgres_database.url
    texts = anyio.run(
        lambda: keyshields_keys(
            postgres_url.replace("postgresql:", "postgresql+psycopg:"),
            {"scopes": ["calls:read"], "expires_at": LATER},
            {"is_active": False},
            hasher=keyshields_argon2(),
            verifies=False,
        )
    )
    query = f"COPY (SELECT {KEYSHIELD_COLUMNS} FROM api_keys) TO STDOUT (FORMAT csv, HEADER)"
    with psycopg.connect(postgres_url) as connection, connection.cursor().copy(query) as copied:
        Path("keys.csv").write_bytes(b"".join(map(bytes, copied)))
    assert ",t," in Path("keys.csv").read_text()
    import_all(*FROM_KEYSHIELD, number=2)
    assert caller(texts[0]).expires_at == LATER.timestamp()
    assert refusal_of(texts[1]) is TokenRevoked


# How it is asked for


def test_prefix_goes_with_keyshield(owner: str) -> None:
    Path("keys.csv").write_text("")
    refused = run("keys", "import", "keys.csv", "--prefix", "ak_")
    assert (refused.exit_code, "--from keyshield" in refused.stderr) == (2, True)
    assert run("keys", "import", "keys.csv", "--from", "another").exit_code == 2


def test_owner_and_the_kind_keyshield_serve_a_plain_csv_too(owner: str) -> None:
    (text,) = keyshield({}, hasher=keyshields_argon2())
    _, (key_id, key_hash, *_) = rows_of("keys.csv")
    write_csv(
        "keys.csv",
        ["name", "digest", "kind", "prefix", "owner"],
        [["k", key_hash, "keyshield", f"ak_v1-{key_id}-", ""]],
    )
    import_all("--owner", EMAIL)
    assert caller(text).scopes == {"calls:read", "calls:write"}


def test_a_key_that_was_revoked_or_has_a_rate_says_so_in_a_plain_csv(owner: str) -> None:
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in ("sk_one", "kg_two")]
    write_csv(
        "keys.csv",
        ["name", "digest", "kind", "owner", "revoked_at", "rate"],
        [
            ["one", digests[0], "sha256", EMAIL, "2024-01-01T00:00:00Z", ""],
            ["two", digests[1], "sha256", EMAIL, "", "5/hour"],
        ],
    )
    import_all(number=2)
    assert refusal_of("sk_one") is TokenRevoked
    assert caller("kg_two").subject == owner
    assert {key["name"]: key["rate"] for key in run_json("keys", "list")["api_keys"]} == {"two": "5/hour"}
