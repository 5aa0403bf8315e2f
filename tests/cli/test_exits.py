"""How commands end: with what was asked for, or with one clear line; never with a traceback of a secret."""

import json
import re
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from callcov_auth import __version__
from callcov_auth.cli.app import app
from callcov_auth.testing import mint_key
from tests.cli.running import EMAIL, PASSWORD, add_user, python, run, run_json, run_process

# Everything that opens the database.
COMMANDS = [
    ("users", "add", "a@example.com"),
    ("users", "list"),
    ("users", "disable", "a@example.com"),
    ("users", "enable", "a@example.com"),
    ("users", "set-password", "a@example.com"),
    ("users", "set-scopes", "a@example.com"),
    ("keys", "create", "a@example.com", "--name", "ci"),
    ("keys", "list"),
    ("keys", "revoke", "key_1"),
    ("keys", "rotate", "key_1"),
    ("keys", "stale"),
    ("keys", "who"),
    ("tokens", "issue", "usr_1"),
    ("tokens", "inspect"),
    ("signing-keys", "add"),
    ("signing-keys", "list"),
    ("signing-keys", "retire", "0123456789abcdef"),
    ("audit", "list"),
    ("audit", "tail"),
    ("audit", "export"),
    ("db", "upgrade"),
    ("serve", "--port", "0"),
]

# A failure that nobody foresaw, in a function that holds a secret.
UNFORESEEN = """
import os, sys
from callcov_auth.auth import Auth
def fail(*_arguments, **_named):
    hidden = os.environ["HIDDEN"]
    raise RuntimeError("unforeseen")
Auth.__init__ = fail
sys.argv = ["callcov-auth", "users", "list"]
from callcov_auth.cli import main
main()
"""


def test_the_version_is_told() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"callcov-auth {__version__}\n")


def leaves(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return every command that does something, by the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        return {path: command}
    return {
        words: leaf
        for name, child in children.items()
        for words, leaf in leaves(child, (*path, name)).items()
    }


LEAVES = leaves(typer.main.get_command(app))


def test_there_are_the_commands_of_the_contract() -> None:
    assert {" ".join(words) for words in LEAVES} == {
        *("init", "doctor", "demo", "serve"),
        *("users add", "users list", "users disable", "users enable", "users set-password"),
        *("users set-scopes", "users sessions", "users logout", "users import"),
        *("keys create", "keys import", "keys list", "keys revoke", "keys rotate"),
        *("keys scan", "keys stale", "keys who"),
        *("tokens issue", "tokens inspect"),
        *("signing-keys add", "signing-keys list", "signing-keys retire"),
        *("audit list", "audit tail", "audit export"),
        *("db upgrade", "db check", "db export", "db import"),
    }


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    helped = run(*words, "--help")

    assert helped.exit_code == 0
    assert "Usage: " in helped.stdout


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_that_prints_data_can_print_json(words: tuple[str, ...]) -> None:
    # What 'audit export' writes is JSON already.
    without = {("init",), ("demo",), ("serve",), ("audit", "export")}

    options = {option for parameter in LEAVES[words].params for option in parameter.opts}

    assert ("--json" in options) == (words not in without)


# What each command is called with, to print one JSON document; standard input holds whatever is asked for.
AS_JSON: dict[tuple[str, ...], tuple[str, ...]] = {
    ("doctor",): (),
    ("users", "add"): ("new@example.com",),
    ("users", "list"): (),
    ("users", "disable"): (EMAIL,),
    ("users", "enable"): (EMAIL,),
    ("users", "set-password"): (EMAIL,),
    ("users", "set-scopes"): (EMAIL,),
    ("users", "sessions"): (EMAIL,),
    ("users", "logout"): (EMAIL,),
    ("users", "import"): ("users.csv",),
    ("keys", "create"): (EMAIL, "--name", "ci"),
    ("keys", "list"): (),
    ("keys", "revoke"): ("{key_id}",),
    ("keys", "rotate"): ("{key_id}",),
    ("keys", "scan"): (".",),
    ("keys", "who"): (),
    ("keys", "stale"): (),
    ("keys", "import"): ("keys.csv",),
    ("tokens", "issue"): ("usr_1",),
    ("tokens", "inspect"): (),
    ("signing-keys", "add"): (),
    ("signing-keys", "list"): (),
    ("signing-keys", "retire"): ("{kid}",),
    ("audit", "list"): (),
    ("audit", "tail"): ("--limit", "1"),
    ("db", "upgrade"): (),
    ("db", "check"): (),
    ("db", "export"): ("all.jsonl",),
    ("db", "import"): ("exported.jsonl",),
}
STDIN = {("keys", "who"): "{api_key}", ("tokens", "inspect"): "{token}"}


def test_every_command_with_json_is_tried() -> None:
    with_json = {words for words, leaf in LEAVES.items() for option in leaf.params if "--json" in option.opts}
    assert AS_JSON.keys() == with_json


@pytest.mark.parametrize("words", AS_JSON, ids=" ".join)
def test_what_it_prints_as_json_is_one_document_and_nothing_else(
    words: tuple[str, ...], installation: Path
) -> None:
    add_user()
    key = run_json("keys", "create", EMAIL, "--name", "ci")
    made = {
        "key_id": key["id"],
        "api_key": key["api_key"],
        "kid": run_json("signing-keys", "add", "--signs-in", "0")["kid"],
        "token": run_json("tokens", "issue", "usr_1")["access_token"],
    }
    run_json("signing-keys", "add", "--signs-in", "0")
    run_json("db", "export", "exported.jsonl")
    Path("keys.csv").write_text(f"owner,name,digest,kind\n{EMAIL},ci,{'0' * 64},sha256\n")
    Path("users.csv").write_text("email\nbob@example.com\n")
    Path("found.txt").write_text(key["api_key"])
    arguments = [argument.format_map(made) for argument in AS_JSON[words]]

    printed = run(*words, *arguments, "--json", stdin=STDIN.get(words, PASSWORD).format_map(made))

    # A scan that finds a key ends with 1, and so does doctor, for nothing here is served over HTTPS.
    assert (printed.exit_code, words) in {(0, words), (1, ("keys", "scan")), (1, ("doctor",))}
    assert isinstance(json.loads(printed.stdout), dict)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_no_command_takes_a_secret_as_an_argument(words: tuple[str, ...]) -> None:
    names = {parameter.name for parameter in LEAVES[words].params}

    assert not any(re.search("password|secret|token|api_key", name) for name in names)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_a_secret_in_the_wrong_place_is_not_echoed(words: tuple[str, ...], folder: Path) -> None:
    arguments = [parameter for parameter in LEAVES[words].params if parameter.param_type_name == "argument"]

    for misplaced in (["hunter2hunter2"], ["--password=hunter2hunter2"], ["--password", "hunter2hunter2"]):
        refused = run(*words, *("x" for _ in arguments), *misplaced)
        assert refused.exit_code == 2
        assert "hunter2" not in refused.output
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_missing_secret_is_one_line_with_the_cure(command: tuple[str, ...], folder: Path) -> None:
    refused = run(*command, stdin=PASSWORD)

    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: CALLCOV_AUTH_SECRET: it is required")
    assert "run 'callcov-auth init'" in line
    assert refused.stdout == ""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_schema_that_does_not_fit_is_one_line_with_the_cure(
    command: tuple[str, ...], installation: Path
) -> None:
    add_user()
    with closing(sqlite3.connect(installation / "callcov_auth.db")) as connection, connection:
        connection.execute("UPDATE callcov_schema SET version_num = '9999'")

    refused = run(*command, stdin=PASSWORD)

    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: the database's schema is 9999, newer than")
    assert line.endswith(": upgrade the package")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_database_out_of_reach_is_one_line_with_the_cure(
    command: tuple[str, ...], installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite:///missing/callcov_auth.db")

    refused = run(*command, stdin=PASSWORD)

    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: The database cannot be used (store_OperationalError): check CALLCOV_AUTH_")


def test_wrong_settings_are_a_line_each_and_no_value_is_shown(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", "too-short-to-use")
    monkeypatch.setenv("CALLCOV_AUTH_LEEWAY", "61")

    refused = run_process("users", "list")

    assert refused.returncode == 2
    assert [line.split()[:2] for line in refused.stderr.splitlines()] == [
        ["error:", "CALLCOV_AUTH_SECRET:"],
        ["error:", "CALLCOV_AUTH_LEEWAY:"],
    ]
    assert all(re.search("; [a-z]+ ", line) for line in refused.stderr.splitlines()), "each with what to do"
    assert "too-short" not in refused.stderr


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if command[0] != "serve" and command != ("tokens", "inspect")],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_resource_server_is_told_that_it_has_no_database(
    command: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = {"issuer": "https://login.example.com", "audience": "calls", "discovery": True}
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([issuer]))

    refused = run(*command, stdin=PASSWORD)

    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: A resource server has no database: set CALLCOV_AUTH_SECRET to have one.\n"
    )


@pytest.mark.parametrize("url", ["sqlite", "sqlite://callcov_auth.db"])
@pytest.mark.parametrize("command", [("users", "list"), ("doctor",)], ids=" ".join)
def test_a_database_address_that_cannot_be_read_names_its_setting(
    command: tuple[str, ...], url: str, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", url)

    refused = run(*command)

    assert refused.exit_code == (1 if command == ("doctor",) else 2)
    assert "CALLCOV_AUTH_DATABASE_URL: " in refused.output
    assert list(installation.iterdir()) == []


@pytest.mark.parametrize("command", [("users", "list"), ("doctor",)], ids=" ".join)
def test_an_env_file_that_cannot_be_read_is_one_line_and_not_shown(
    command: tuple[str, ...], folder: Path
) -> None:
    (folder / ".env").touch(0o600)
    (folder / ".env").write_bytes(b"CALLCOV_AUTH_SECRET=hunter2hunter2\xff\n")

    refused = run(*command)

    assert refused.exit_code == (1 if command == ("doctor",) else 2)
    assert ".env: it cannot be read (UnicodeDecodeError)" in refused.output
    assert "hunter2" not in refused.output


def test_an_unknown_setting_is_one_line_too(installation: Path) -> None:
    refused = run_process("users", "list", env={"CALLCOV_AUTH_SECRETE": "hunter2hunter2"})

    assert refused.returncode == 2
    assert refused.stderr == (
        "error: CALLCOV_AUTH_SECRETE: there is no such setting, but CALLCOV_AUTH_SECRET; "
        "unset it, or mend its name\n"
    )


@pytest.mark.parametrize(
    "words", [[], ["keys"], ["keys", "revoke"], ["keys", "rotate"], ["users"]], ids=" ".join
)
def test_a_key_in_the_wrong_place_is_not_shown(installation: Path, words: list[str]) -> None:
    key = mint_key(environment="live")
    refused = run_process(*words, key)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert key not in refused.stderr
    assert key[:20] not in refused.stderr
    assert "standard input" in refused.stderr or "'callcov-auth keys who' tells the id" in refused.stderr


def test_a_slip_in_a_command_is_shown_with_what_is_near(installation: Path) -> None:
    assert "revoke" in run_process("keys", "revok").stderr


def test_a_database_that_was_not_there_is_told_of(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite:///elsewhere.db")
    first, second = (run_process("users", "list", "--json") for _ in range(2))

    assert (first.returncode, json.loads(first.stdout)) == (0, {"users": []})
    look = "see that CALLCOV_AUTH_DATABASE_URL and the current folder are right\n"
    assert first.stderr == f"note: there was no database, so an empty one was made: {look}"
    assert second.stderr == ""

    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite:///nowhere.db")
    refused = run_process("keys", "revoke", "key_1")
    assert refused.returncode == 1
    assert refused.stderr == f"error: There is no such API key, and there was no database: {look}"


def test_a_refusal_ends_a_process_with_1(installation: Path) -> None:
    refused = run_process("users", "disable", "nobody@example.com")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1


def test_what_nobody_foresaw_shows_no_variables(installation: Path) -> None:
    hidden = secrets.token_urlsafe(24)

    failed = python("-c", UNFORESEEN, env={"HIDDEN": hidden})

    assert failed.returncode == 1
    assert "RuntimeError: unforeseen" in failed.stderr, "the traceback is there, for it is a bug"
    assert hidden not in failed.stderr + failed.stdout


def test_starting_loads_none_of_the_rooms() -> None:
    heavy = "{'sqlalchemy', 'alembic', 'starlette', 'uvicorn', 'jwt', 'cryptography', 'argon2', 'rich'}"

    loaded = python("-c", f"import sys, callcov_auth.cli.app; print({heavy} & set(sys.modules))")

    assert loaded.stdout == "set()\n"
