"""``db``: the schema, and all that is in the database, from one to another and counted on the way."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from callcov_auth import Auth
from callcov_auth.store import transfer
from tests.cli.running import EMAIL, PASSWORD, add_user, run, run_json, run_process, with_auth
from tests.support.databases import Database, alembic

TABLES = ("callcov_users", "callcov_api_keys", "callcov_sessions", "callcov_signing_keys")
KEYS = 7

Use = Callable[[Database], None]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BATCH", 3)


@pytest.fixture
def use(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Calling it makes a database the one that the commands use."""
    return lambda database: monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", database.url)


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_database: Database
) -> tuple[Database, Database]:
    """From where, and to where."""
    pair = (Database("sqlite", f"sqlite:///{tmp_path / 'from.db'}"), postgres_database)
    return pair if request.param == "to PostgreSQL" else (pair[1], pair[0])


@pytest.fixture
def export(way: tuple[Database, Database], use: Use, tmp_path: Path) -> Path:
    """A file of all kinds of things; the commands then use the database that it is to go to."""
    source, target = way
    use(source)
    owner = add_user(EMAIL, "analysis:read")
    add_user("bob@example.com")

    async def fill(auth: Auth) -> None:
        for number in range(KEYS):
            await auth.keys.create(owner, name=f"Schlüssel {number}", description="two\nlines \N{KEY}")
        await auth.tokens.login(EMAIL, PASSWORD)
        await auth.signing_keys.add("EdDSA", signs_in=0)

    with_auth(fill)
    file = tmp_path / "all.jsonl"
    run_json("db", "export", str(file))
    use(target)
    return file


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    def plain(value: Any) -> Any:
        return bytes(value) if isinstance(value, memoryview) else value

    return {
        table: sorted(
            tuple(plain(value) for value in row) for row in database.query(f"SELECT * FROM {table}")
        )
        for table in TABLES
    }


def test_all_is_there_afterwards_and_counted_at_both_ends(
    export: Path, way: tuple[Database, Database]
) -> None:
    tables = {count["table"]: count for count in run_json("db", "import", str(export))["tables"]}
    source, target = way
    assert contents(target) == contents(source)
    assert tables["callcov_api_keys"] == {
        "table": "callcov_api_keys",
        "in_file": KEYS,
        "added": KEYS,
        "present": 0,
        "in_database": KEYS,
    }
    assert all(count["added"] == count["in_file"] == count["in_database"] for count in tables.values())


def test_keys_passwords_and_tokens_work_where_they_came_to(way: tuple[Database, Database], use: Use) -> None:
    source, target = way
    use(source)
    owner = add_user(EMAIL, "analysis:read")

    async def make(auth: Auth) -> tuple[str, str]:
        key = await auth.keys.create(owner, name="Nightly")
        pair = await auth.tokens.login(EMAIL, PASSWORD)
        return key.api_key.get_secret_value(), pair.refresh_token.get_secret_value()

    key, refresh_token = with_auth(make)
    assert run("db", "export", "all.jsonl").exit_code == 0
    use(target)
    assert run("db", "import", "all.jsonl").exit_code == 0

    async def use_them(auth: Auth) -> str:
        await auth.tokens.login(EMAIL, PASSWORD)
        await auth.tokens.refresh(refresh_token)
        return (await auth.authenticate(f"Bearer {key}")).subject

    assert with_auth(use_them) == owner


def test_given_again_nothing_is_added(export: Path, way: tuple[Database, Database]) -> None:
    run_json("db", "import", str(export))
    again = run_json("db", "import", str(export))["tables"]
    assert all((count["added"], count["present"]) == (0, count["in_file"]) for count in again)
    assert contents(way[1]) == contents(way[0])


@pytest.mark.parametrize("lines", [1, 2, 5, 9, -1])
def test_a_file_that_is_cut_short_is_told_and_the_whole_one_goes_on(
    export: Path, way: tuple[Database, Database], lines: int
) -> None:
    whole = export.read_bytes()
    export.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
    refused = run("db", "import", str(export))
    assert (refused.exit_code, "cut short" in refused.stderr) == (2, True)
    export.write_bytes(whole)
    run_json("db", "import", str(export))
    assert contents(way[1]) == contents(way[0])


def test_a_key_that_was_used_meanwhile_is_still_the_same(
    export: Path, way: tuple[Database, Database]
) -> None:
    run_json("db", "import", str(export))
    way[1].run("UPDATE callcov_api_keys SET last_used_at = 1800000000.5")
    counts = run_json("db", "import", str(export))["tables"]
    assert all(count["present"] == count["in_file"] for count in counts)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "UPDATE callcov_users SET scopes = '*' WHERE email = 'ada@example.com'",
            r"callcov_users 'usr_\w+' is there",
        ),
        (
            "UPDATE callcov_api_keys SET revoked_at = 1.5 WHERE name LIKE '%6'",
            r"callcov_api_keys 'key_\w+' is there",
        ),
    ],
)
def test_a_row_that_is_another_one_is_an_error_and_stays(
    export: Path, way: tuple[Database, Database], change: str, named: str
) -> None:
    run_json("db", "import", str(export))
    way[1].run(change)
    before = contents(way[1])
    refused = run("db", "import", str(export))
    assert refused.exit_code == 2
    assert re.search(rf"line \d+: {named} already, and is another one", refused.stderr)
    assert contents(way[1]) == before


def test_an_email_that_another_user_has_is_an_error_and_the_others_are_added(
    export: Path, way: tuple[Database, Database]
) -> None:
    run_json("db", "upgrade")
    way[1].run("INSERT INTO callcov_users VALUES ('usr_x', 'ada@example.com', 'hash', '', 1.0, NULL)")
    refused = run("db", "import", str(export))
    assert refused.exit_code == 2
    assert re.search(r"line \d: callcov_users 'usr_\w+' has what may be there once only", refused.stderr)


def test_what_postgresql_cannot_store_is_named(use: Use, tmp_path: Path, postgres_database: Database) -> None:
    """SQLite takes a NUL, and there was a time at which we let it."""
    source = Database("sqlite", f"sqlite:///{tmp_path / 'from.db'}")
    use(source)
    user = add_user()
    source.run("UPDATE callcov_users SET scopes = 'a' || char(0)")
    run("db", "export", "all.jsonl")
    use(postgres_database)
    refused = run("db", "import", "all.jsonl")
    assert refused.exit_code == 2
    assert f"line 2: callcov_users '{user}' holds what this database cannot store" in refused.stderr


def test_the_file_is_readable_for_nobody_else_and_says_what_it_holds(
    export: Path, use: Use, way: Any
) -> None:
    assert export.stat().st_mode & 0o777 == 0o600
    use(way[0])
    result = run("db", "export", "again.jsonl")
    assert "password hashes and digests; only you can read it (mode 0600)" in result.stdout
    there = run("db", "export", "again.jsonl")
    assert (there.exit_code, "is there already" in there.stderr) == (2, True)


def test_no_secret_is_in_the_file_but_hashes_and_digests(installation: Path) -> None:
    owner = add_user()
    text = with_auth(lambda auth: auth.keys.create(owner, name="Nightly")).api_key.get_secret_value()
    run("db", "export", "all.jsonl")
    content = Path("all.jsonl").read_text()
    assert "$argon2id$" in content
    assert text not in content
    assert PASSWORD not in content


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "line 1: this is no JSON object"),
        ("[]", "line 1: this is no JSON object"),
        ('{"format": "another"}', "line 1: this is no file of 'callcov-auth db export'"),
        (
            '{"format": "callcov-auth export, version 1", "schema": "0", "rows": {"orders": 1}}',
            "line 1: the file has tables that are not known",
        ),
        ('{"format": "callcov-auth export, version 1", "schema": "0", "rows": {}}', "is of schema 0"),
    ],
)
def test_what_is_no_export_is_refused(installation: Path, line: str, problem: str) -> None:
    Path("a.jsonl").write_text(f"{line}\n")
    refused = run("db", "import", "a.jsonl")
    assert (refused.exit_code, problem in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "this is no JSON object"),
        ('{"table": "orders", "row": {}}', "this is no row of a table"),
        ('{"table": "callcov_users", "row": {"id": "usr_1"}}', "this is no row of a table"),
        ("digest", "digest is not base64"),
    ],
)
def test_a_line_that_is_wrong_is_named_by_its_number(installation: Path, line: str, problem: str) -> None:
    owner = add_user()
    with_auth(lambda auth: auth.keys.create(owner, name="Nightly"))
    run("db", "export", "all.jsonl")
    lines = Path("all.jsonl").read_text().splitlines()
    if line == "digest":
        key = json.loads(lines[2])
        key["row"]["digest"] = "!"
        line = json.dumps(key)
    Path("all.jsonl").write_text("\n".join([*lines[:2], line, *lines[2:]]))
    refused = run("db", "import", "all.jsonl")
    assert refused.exit_code == 2
    assert f"line 3: {problem}" in refused.stderr


def test_check_is_content_with_what_is_up_to_date(database: Database, use: Use) -> None:
    use(database)
    upgraded = run_json("db", "upgrade")
    assert run_json("db", "check") == {"schema": upgraded["now"], "up_to_date": True}


def test_check_tells_the_cure_where_the_schema_is_behind(new_database: Database, use: Use) -> None:
    use(new_database)
    alembic(new_database, lambda config: command.upgrade(config, "0002"))
    refused = run("db", "check")
    assert (refused.exit_code, "run 'callcov-auth db upgrade'" in refused.stderr) == (2, True)
    assert new_database.query("SELECT version_num FROM callcov_schema") == [("0002",)]
    assert run_json("db", "upgrade")["before"] == "0002"
    assert run("db", "check").exit_code == 0


@pytest.mark.parametrize("arguments", [("check",), ("export", "all.jsonl")])
def test_a_missing_file_of_sqlites_is_told_and_not_made(
    installation: Path, arguments: tuple[str, ...]
) -> None:
    refused = run("db", *arguments)
    assert (refused.exit_code, "'callcov-auth db upgrade' makes it" in refused.stderr) == (2, True)
    assert list(installation.iterdir()) == []


def test_upgrade_makes_a_file_for_its_owner_alone(installation: Path) -> None:
    assert run_json("db", "upgrade")["before"] is None
    assert (installation / "callcov_auth.db").stat().st_mode & 0o777 == 0o600


def test_a_resource_server_has_no_database(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    issuer = {"issuer": "https://i.example", "audience": "a", "discovery": True}
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([issuer]))
    refused = run("db", "check")
    assert (refused.exit_code, "has no database" in refused.stderr) == (2, True)


def test_an_export_that_fails_leaves_no_file(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_user()
    with sqlite3.connect("callcov_auth.db") as connection:
        connection.execute("DROP TABLE callcov_sessions")
    connection.close()
    assert run("db", "export", "all.jsonl").exit_code == 1
    assert not Path("all.jsonl").exists()


def test_an_export_goes_on_beside_writers(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while it is read is not in the file: it is of one moment."""
    add_user()
    batches, seen = transfer._batches, []

    def slow(*arguments: Any) -> Any:
        if not seen:
            seen.append(run_process("users", "add", "late@example.com", stdin=PASSWORD).returncode)
        return batches(*arguments)

    monkeypatch.setattr(transfer, "_batches", slow)
    assert run_json("db", "export", "all.jsonl")["rows"]["callcov_users"] == 1
    assert seen == [0]
