"""``users import``: files as people have them, what is told of them, and an import that is cut off."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from callcov_auth.errors import InvalidCredentials
from callcov_auth.importing import MAX_TOLD
from callcov_auth.users.imports import BATCH
from tests.cli.running import EMAIL, PASSWORD, add_user, python, run, run_json, with_auth
from tests.moving.theirs import write_csv
from tests.support.databases import Database

pytestmark = pytest.mark.usefixtures("installation")

DEADLINE = 60.0
HASH = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)
THEIRS = ["id", "email", "hashed_password", "is_active", "is_superuser", "is_verified"]


def write(*rows: list[Any], header: list[str] | None = None) -> str:
    write_csv("users.csv", header or ["email", "password_hash"], rows)
    return "users.csv"


def logs_in(email: str, password: str = PASSWORD) -> bool:
    try:
        return bool(with_auth(lambda auth: auth.tokens.login(email, password)))
    except InvalidCredentials:
        return False


def refusals(*arguments: str) -> list[tuple[int, str]]:
    result = run("users", "import", *arguments, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert report["refused"] == len({refusal["line"] for refusal in report["refusals"]})
    return [(refusal["line"], refusal["field"]) for refusal in report["refusals"]]


def test_users_of_a_plain_csv_log_in_with_their_old_passwords() -> None:
    file = write(
        ["Ada@Example.com", HASH, "u1", "b  c"],
        ["bob@example.com", "", "", ""],
        header=["email", "password_hash", "id", "scopes"],
    )
    report = run_json("users", "import", file, "--scope", "a:*", "--scope", "b")
    assert report == {"imported": 2, "present": 0, "refused": 0, "refusals": []}

    ada, bob = run_json("users", "list")["users"]
    if ada["email"] != EMAIL:
        ada, bob = bob, ada
    assert (ada["id"], ada["scopes"], ada["disabled_at"]) == ("u1", ["a:*", "b", "c"], None)
    assert bob["scopes"] == ["a:*", "b"]
    assert (logs_in(EMAIL), logs_in(EMAIL, "another")) == (True, False)
    assert not logs_in("bob@example.com")
    run("users", "set-password", "bob@example.com", stdin=PASSWORD)
    assert logs_in("bob@example.com")


def test_users_of_json_lines() -> None:
    lines = [{"email": EMAIL, "password_hash": HASH, "scopes": ["a"], "id": None}, {"email": "x"}]
    Path("users.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert refusals("users.jsonl") == [(2, "email")]
    assert logs_in(EMAIL)


def test_a_table_of_fastapi_users_and_the_scopes_of_its_marks() -> None:
    file = write(
        ["a1", EMAIL, HASH, "1", "1", "0"], ["b2", "bob@example.com", HASH, "0", "0", "1"], header=THEIRS
    )
    options = ("--scope", "calls:read", "--superuser-scope", "admin", "--verified-scope", "verified")
    assert run_json("users", "import", file, "--from", "fastapi-users", *options)["imported"] == 2
    users = {user["id"]: user for user in run_json("users", "list")["users"]}
    assert users["a1"]["scopes"] == ["admin", "calls:read"]
    assert users["b2"]["scopes"] == ["calls:read", "verified"]
    assert (users["a1"]["disabled_at"], users["b2"]["disabled_at"] is None) == (None, False)
    assert (logs_in(EMAIL), logs_in("bob@example.com")) == (True, False)


def test_people_read_what_was_done_and_each_refusal_with_its_line() -> None:
    add_user()
    told = run("users", "import", write([EMAIL, HASH], ["bob@example.com", HASH], ["eve@example.com", "md5"]))
    assert told.exit_code == 1
    assert told.stdout == "Imported 1; 1 were there already; refused 1.\n"
    assert told.stderr == "line 4: password_hash is neither an Argon2 nor a bcrypt hash\n"


def test_of_very_many_refusals_the_first_are_told_and_the_others_counted() -> None:
    file = write(*([f"user{at}", HASH] for at in range(MAX_TOLD + 7)), [EMAIL, HASH])
    told = run("users", "import", file)
    *lines, last = told.stderr.splitlines()
    assert told.stdout == f"Imported 1; 0 were there already; refused {MAX_TOLD + 7}.\n"
    assert (len(lines), lines[-1][:10]) == (MAX_TOLD, f"line {MAX_TOLD + 1}:"[:10])
    assert last == "and 7 lines more: mend these first, and run it again"
    report = json.loads(run("users", "import", file, "--json").stdout)
    assert (report["refused"], len(report["refusals"])) == (MAX_TOLD + 7, MAX_TOLD)


def test_no_hash_is_shown() -> None:
    bad = HASH.replace("m=16", "m=999999999")
    file = write([EMAIL, bad], [bad, HASH], [bad, bad])
    for options in ((), ("--json",)):
        told = run("users", "import", file, *options)
        assert told.exit_code == 1
        assert bad not in told.output
        assert HASH not in told.output
    Path("users.csv").write_text(f"{EMAIL},{HASH}\n")
    told = run("users", "import", "users.csv")
    assert told.exit_code == 2
    assert HASH not in told.output


@pytest.mark.parametrize(
    ("header", "options", "problem"),
    [
        ("mail", (), "Column 1 of the header is none of these: name it so. email, password_hash, id, "),
        ("email,email", (), "The header names the column email twice: leave one out."),
        ("id", (), "The header lacks columns: add email."),
        (
            "id,email",
            ("--from", "fastapi-users"),
            "The header lacks columns: add hashed_password, is_active, ",
        ),
        ("id,email,id", ("--from", "fastapi-users"), "The header names the column id twice: leave one out."),
    ],
)
def test_a_header_that_does_not_fit_ends_it(header: str, options: tuple[str, ...], problem: str) -> None:
    Path("users.csv").write_text(f"{header}\n")
    refused = run("users", "import", "users.csv", *options)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {problem}"), refused.stderr


def test_columns_of_the_apps_own_are_passed_over() -> None:
    row = ["a1", EMAIL, HASH, "t", "f", "f", "Ada", "Ada"]
    file = write(row, header=[*THEIRS, "name", "name"])
    assert run_json("users", "import", file, "--from", "fastapi-users")["imported"] == 1


@pytest.mark.parametrize("option", ["--superuser-scope", "--verified-scope"])
def test_marks_are_those_of_fastapi_users(option: str) -> None:
    refused = run("users", "import", write([EMAIL, HASH]), option, "admin")
    assert refused.exit_code == 2
    assert "--from fastapi-users" in refused.stderr


@pytest.mark.parametrize("option", ["--scope", "--superuser-scope", "--verified-scope"])
def test_a_scope_that_is_none_is_told_once_and_nobody_is_imported(option: str) -> None:
    file = write(["a1", EMAIL, HASH, "1", "1", "1"], header=THEIRS)
    refused = run("users", "import", file, "--from", "fastapi-users", option, "a b")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: scopes.0: ")
    assert run_json("users", "list") == {"users": []}


def test_an_import_can_be_run_again_and_changes_nobody() -> None:
    file = write([EMAIL, HASH], ["bob@example.com", HASH])
    run_json("users", "import", file)
    run("users", "set-password", EMAIL, stdin="another password")
    run("users", "disable", "bob@example.com")
    before = run_json("users", "list")
    assert run_json("users", "import", file, "--scope", "a")["present"] == 2
    assert run_json("users", "list") == before
    assert logs_in(EMAIL, "another password")


def test_on_postgres(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", postgres_database.url)
    file = write(
        ["u1", EMAIL, HASH], ["u2", "bob@example.com", HASH], header=["id", "email", "password_hash"]
    )
    assert run_json("users", "import", file)["imported"] == 2
    assert (logs_in(EMAIL), logs_in(EMAIL, "wrong"), logs_in("nobody@example.com")) == (True, False, False)
    assert run_json("users", "import", file)["present"] == 2


# Many


@pytest.fixture
def many(installation: Path) -> str:
    """A file of two batches and a half."""
    return write(*([f"user{number}@example.com", HASH] for number in range(2 * BATCH + BATCH // 2)))


def stored() -> int:
    with closing(sqlite3.connect("callcov_auth.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM callcov_users").fetchone()[0])


def test_an_import_that_is_killed_goes_on_when_it_is_run_again(many: str) -> None:
    with_auth(lambda auth: auth.users.list())
    os.mkfifo("pipe")
    command = [sys.executable, "-m", "callcov_auth", "users", "import", "pipe"]
    importing = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = Path(many).read_bytes().splitlines(keepends=True)
    with Path("pipe").open("wb") as pipe:
        pipe.writelines(lines[: BATCH + 50])
        pipe.flush()
        deadline = time.monotonic() + DEADLINE
        try:
            while not stored():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            importing.kill()
            importing.wait(DEADLINE)
    assert stored() == BATCH, "a batch is there whole, or not at all"
    again = run_json("users", "import", many)
    assert (again["imported"], again["present"]) == (len(lines) - 1 - BATCH, BATCH)


# Imports each file, and prints how much more memory that took than there was before it.
MEASURED = """
import sys, tracemalloc
from callcov_auth.cli.app import app

tracemalloc.start()
for file in sys.argv[1:]:
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        app(["users", "import", file])
    except SystemExit as done:
        assert not done.code
    print(tracemalloc.get_traced_memory()[1] - before)
"""


def test_memory_does_not_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # What waits for it has a bound of its own.
    monkeypatch.setenv("CALLCOV_AUTH_AUDIT_DAYS", "0")
    sizes = {"warm.csv": BATCH, "few.csv": 2 * BATCH, "many.csv": 10 * BATCH}
    for name, size in sizes.items():
        write_csv(name, ["email", "password_hash"], [[f"{at}@{name}", HASH] for at in range(size)])
    told = python("-c", MEASURED, *sizes)
    assert told.returncode == 0, told.stderr
    _, few, many = [int(line) for line in told.stdout.splitlines() if line.isdigit()]
    assert many < 1.5 * few
