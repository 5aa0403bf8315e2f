"""``keys import``: files as people have them, an import that is cut off, and what ``doctor`` says then."""

import csv
import hashlib
import hmac
import io
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher

from callcov_auth.errors import InvalidToken
from callcov_auth.keys.imports import BATCH
from tests.cli.running import EMAIL, add_user, run, run_json, with_auth

pytestmark = pytest.mark.usefixtures("installation")

PEPPER = "the pepper of another program"
HEADER = "owner,name,digest,kind"
DEADLINE = 60.0


@pytest.fixture(autouse=True)
def owner(installation: Path) -> str:
    return add_user(EMAIL, "calls:read", "calls:write")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def line(text: str, **changes: Any) -> dict[str, Any]:
    return {"owner": EMAIL, "name": text, "digest": sha256(text), "kind": "sha256", **changes}


def write(content: str | bytes, name: str = "keys.csv") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def write_csv(*rows: dict[str, Any]) -> str:
    made = io.StringIO()
    writer = csv.DictWriter(made, [*dict.fromkeys(name for row in rows for name in row)])
    writer.writeheader()
    writer.writerows(rows)
    return write(made.getvalue())


def write_json(*rows: dict[str, Any]) -> str:
    return write("\n".join(json.dumps(row) for row in rows), "keys.jsonl")


def subject_of(key: str) -> str:
    return with_auth(lambda auth: auth.authenticate(f"Bearer {key}")).subject


def refusals(file: str) -> list[tuple[int, str]]:
    """Import a file of which lines are refused; return their numbers and fields."""
    result = run("keys", "import", file, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert report["refused"] == len({refusal["line"] for refusal in report["refusals"]})
    return [(refusal["line"], refusal["field"]) for refusal in report["refusals"]]


@pytest.mark.parametrize("write_file", [write_csv, write_json], ids=["csv", "json"])
def test_keys_of_every_kind_are_taken_over(
    write_file: Callable[..., str], owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps([PEPPER]))
    argon2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("sk_live_argon2")
    salted = bcrypt.hashpw(b"sk_live_bcrypt", bcrypt.gensalt(4)).decode()
    keyed = hmac.new(PEPPER.encode(), b"sk_live_hmac", "sha256").hexdigest()
    file = write_file(
        line("sk_live_sha256", scopes="calls:read", created_at="2024-01-01T00:00:00Z"),
        line("sk_live_hmac", digest=keyed, kind="hmac-sha256", owner=owner),
        line("sk_live_argon2", digest=argon2, kind="argon2", prefix="sk_live_argon", expires_in_days="30"),
        line("sk_live_bcrypt", digest=salted, kind="bcrypt", prefix="sk_live_bcry", environment="test"),
    )

    assert run_json("keys", "import", file) == {"imported": 4, "present": 0, "refused": 0, "refusals": []}
    for text in ("sk_live_sha256", "sk_live_hmac", "sk_live_argon2", "sk_live_bcrypt"):
        assert subject_of(text) == owner
    listed = {key["name"]: key for key in run_json("keys", "list")["api_keys"]}
    assert listed["sk_live_sha256"]["scopes"] == ["calls:read"]
    assert listed["sk_live_sha256"]["created_at"].startswith("2024-01-01T00:00:00")
    assert listed["sk_live_hmac"]["scopes"] == ["calls:read", "calls:write"]
    assert listed["sk_live_argon2"]["expires_at"] is not None
    assert listed["sk_live_bcrypt"]["environment"] == "test"


def test_people_read_what_was_done_and_each_refusal_with_its_line() -> None:
    file = write_csv(line("sk_1"), line("sk_2", kind="md5"), line("sk_3", owner="nobody@example.com"))

    told = run("keys", "import", file)

    assert told.exit_code == 1
    assert told.stdout == "Imported 1; 0 were there already; refused 2.\n"
    third, fourth = told.stderr.splitlines()
    assert third.startswith("line 3: kind ")
    assert fourth == "line 4: owner is no user, or one that is disabled"


def test_lines_are_refused_in_their_order_whatever_is_wrong_with_them() -> None:
    file = write_csv(
        line("sk_1", owner="nobody@example.com"), line("sk_2", digest="x"), line("sk_3", owner="usr_nobody")
    )
    assert refusals(file) == [(2, "owner"), (3, "digest"), (4, "owner")]


def test_no_digest_is_shown() -> None:
    digest = sha256("sk_secret")
    file = write_json(
        line("a", digest=digest + "0"),
        line("b", scopes=digest),
        line("c", prefix=digest),
        line("d", owner=digest),
        {digest: "e"},
    )
    write(f"{EMAIL},name,{digest},sha256\n", "no_header.csv")
    for command in (("keys", "import", file), ("keys", "import", file, "--json")):
        assert digest not in run(*command).output
    assert digest not in run("keys", "import", "no_header.csv").output


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (f"{HEADER},colour", "Column 5 of the header is none of these: name it so. "),
        (f"{HEADER},name", "The header names the column name twice: leave one out."),
        ("owner,name,kind", "The header lacks columns: add digest."),
        ("name", "The header lacks columns: add owner, digest, kind."),
        ("", "The header lacks columns: add name, owner, digest, kind."),
        ("Owner,name,digest,kind", "Column 1 of the header is none of these: name it so. "),
    ],
)
def test_a_header_that_does_not_fit_ends_it(header: str, problem: str) -> None:
    refused = run("keys", "import", write(f"{header}\n{EMAIL},k,{sha256('sk_1')},sha256\n"))

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {problem}"), refused.stderr
    assert run_json("keys", "list") == {"api_keys": []}


def test_csv_as_spreadsheets_write_it(owner: str) -> None:
    rows = [
        f"\ufeff{HEADER},description , scopes",
        f'{EMAIL},"one, two",{sha256("sk_1")},sha256,"of two\r\nlines",',
        "",
        f'{EMAIL},"a ""quoted"" name",{sha256("sk_2")},sha256,,calls:read',
    ]
    assert run_json("keys", "import", write("\r\n".join(rows)))["imported"] == 2
    assert subject_of("sk_1") == subject_of("sk_2") == owner
    names = {key["name"] for key in run_json("keys", "list")["api_keys"]}
    assert names == {"one, two", 'a "quoted" name'}


def test_lines_that_are_no_csv_are_refused_and_the_others_taken() -> None:
    good = [f"{EMAIL},k,{sha256(f'sk_{number}')},sha256" for number in range(4)]
    rows = [
        HEADER,
        good[0],
        f'{EMAIL},"k"x,{sha256("sk_a")},sha256',
        f"{EMAIL},k,{sha256('sk_b')}",
        f"{good[1]},more",
        good[2],
        f"{EMAIL},caf\udce9,{sha256('sk_c')},sha256",
        good[3],
        '"never closed',
    ]
    file = write("\n".join(rows).encode("utf-8", "surrogateescape"))

    assert refusals(file) == [(3, "line"), (4, "line"), (5, "line"), (7, "name"), (9, "line")]
    assert len(run_json("keys", "list")["api_keys"]) == 3


def test_lines_that_are_no_json_object_are_refused_and_the_others_taken() -> None:
    good = [json.dumps(line(f"sk_{number}", segment=None)) for number in range(2)]
    rows = ["\ufeff" + good[0], "", "[1]", good[1], '{"owner": 1, "owner": 2}', "{", good[1][:-1]]
    assert refusals(write("\n".join(rows))) == [(3, "line"), (5, "line"), (6, "line"), (7, "line")]
    assert len(run_json("keys", "list")["api_keys"]) == 2


@pytest.mark.parametrize("content", ["", "\n", HEADER, HEADER + "\n", "\ufeff"])
def test_a_file_without_keys_is_no_mistake_unless_it_has_no_header(content: str) -> None:
    result = run("keys", "import", write(content))
    assert result.exit_code == (2 if content == "\n" else 0)


def test_a_line_without_an_end_ends_it() -> None:
    refused = run("keys", "import", write(f"{HEADER}\n{'x' * 70_000}"))
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: Line 2 is longer than 65536 bytes")


@pytest.mark.parametrize("file", ["missing.csv", "."])
def test_a_file_that_cannot_be_read_is_a_usage_error(file: str) -> None:
    assert run("keys", "import", file).exit_code == 2


# Peppers


def keyed_file() -> str:
    digest = hmac.new(PEPPER.encode(), b"sk_live_1", "sha256").hexdigest()
    return write_csv(line("k", digest=digest, kind="hmac-sha256"))


def test_of_several_peppers_a_file_says_which(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hexadecimal = "hex:" + PEPPER.encode().hex()
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps(["another", hexadecimal]))

    assert refusals(keyed_file()) == [(2, "kind")]
    assert (
        run_json("keys", "import", keyed_file(), "--pepper-file", write(PEPPER + "\n", "p"))["imported"] == 1
    )
    assert subject_of("sk_live_1") == owner


@pytest.mark.parametrize(
    "content", ["a pepper that no server knows", "", "\n", "hex:xyz", "base64:a", b"\xff"]
)
def test_a_pepper_that_is_not_among_the_settings_is_not_taken(
    content: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps([PEPPER]))

    refused = run("keys", "import", keyed_file(), "--pepper-file", write(content, "p"))

    assert refused.exit_code == 2
    assert "pepper-file" in refused.stderr
    assert "no server knows" not in refused.output
    assert run_json("keys", "list") == {"api_keys": []}


@pytest.mark.parametrize("peppers", ['[""]', '["hex:"]', '["hex:abc"]', '["base64:*"]', "a,b", '["ok", 7]'])
def test_a_pepper_that_cannot_be_read_stops_the_start(peppers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", peppers)

    refused = run("keys", "list")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: CALLCOV_AUTH_IMPORT_PEPPERS: ")
    assert "abc" not in refused.stderr


# Cut off, and run again


def stored() -> int:
    with closing(sqlite3.connect("callcov_auth.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM callcov_api_keys").fetchone()[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of two batches and a half."""
    monkeypatch.setenv("CALLCOV_AUTH_MAX_ACTIVE_KEYS", "10000")
    return write_csv(*(line(f"sk_{number}") for number in range(2 * BATCH + BATCH // 2)))


def test_an_import_that_is_killed_goes_on_when_it_is_run_again(many: str, owner: str) -> None:
    os.mkfifo("pipe")
    command = [sys.executable, "-m", "callcov_auth", "keys", "import", "pipe"]
    importing = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Path("pipe").open("wb") as pipe:
        lines = Path(many).read_bytes().splitlines(keepends=True)
        pipe.writelines(lines[: BATCH + 50])
        pipe.flush()
        try:
            until(lambda: stored() > 0)
        finally:
            importing.kill()
            importing.wait(DEADLINE)
    assert stored() == BATCH, "a batch is there whole, or not at all"

    subject_of("sk_0")
    again = run_json("keys", "import", many)
    assert (again["imported"], again["present"]) == (len(lines) - 1 - BATCH, BATCH)
    assert (stored(), subject_of(f"sk_{len(lines) - 2}")) == (len(lines) - 1, owner)
    assert run_json("keys", "import", many)["present"] == len(lines) - 1


# What doctor says


def found() -> list[tuple[str, str]]:
    report = json.loads(run("doctor", "--json").stdout)
    assert all(finding["cure"] for finding in report["findings"])
    return [(finding["check"], finding["problem"]) for finding in report["findings"]]


def test_doctor_counts_the_keys_that_need_a_previous_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    used, unused, ended = (run_json("keys", "create", EMAIL, "--name", name) for name in ("a", "b", "c"))
    run("keys", "revoke", ended["id"])
    old = os.environ["CALLCOV_AUTH_SECRET"]
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))
    both = f"2 were made under a secret that is not set, and are refused: {unused['id']}, {used['id']}"
    assert found() == [("keys", both)]

    monkeypatch.setenv("CALLCOV_AUTH_PREVIOUS_SECRETS", json.dumps([old]))
    assert found() == [("keys", f"2 still need a previous secret: {unused['id']}, {used['id']}")]
    subject_of(used["api_key"])
    assert found() == [("keys", f"1 still need a previous secret: {unused['id']}")]
    subject_of(unused["api_key"])
    assert found() == []
    monkeypatch.delenv("CALLCOV_AUTH_PREVIOUS_SECRETS")
    assert found() == []
    subject_of(unused["api_key"])


def test_doctor_takes_a_key_whose_secret_has_no_name_for_one_that_may_need_an_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = run_json("keys", "create", EMAIL, "--name", "of an older schema")
    run_json("keys", "import", write_csv(line("sk_1")))
    with closing(sqlite3.connect("callcov_auth.db")) as connection, connection:
        connection.execute("UPDATE callcov_api_keys SET pepper_id = NULL, mac_id = NULL")
    assert found() == []

    monkeypatch.setenv("CALLCOV_AUTH_PREVIOUS_SECRETS", json.dumps([secrets.token_urlsafe(48)]))
    assert found() == [("keys", f"1 still need a previous secret: {key['id']}")]
    subject_of(key["api_key"])
    assert found() == []


def test_doctor_counts_the_keys_that_need_an_import_pepper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps([PEPPER]))
    run_json("keys", "import", keyed_file())
    (key,) = run_json("keys", "list")["api_keys"]
    assert found() == [("keys", f"1 still need an import pepper: {key['id']}")]

    monkeypatch.delenv("CALLCOV_AUTH_IMPORT_PEPPERS")
    ((_, problem),) = found()
    assert problem.startswith("1 were made under a secret that is not set")
    with pytest.raises(InvalidToken):
        subject_of("sk_live_1")

    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PEPPERS", json.dumps([PEPPER]))
    subject_of("sk_live_1")
    monkeypatch.delenv("CALLCOV_AUTH_IMPORT_PEPPERS")
    assert found() == []
