"""The leak scan finds what it is there to find: planted leaks of every kind, in every place."""

import json
import os
import re
import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from callcov_auth.keys import format as key_format
from tests.support.leaks import Leak, LeakScan

ROOT = Path(__file__).parents[1]

# A run of its own, whose tests leak; each notes what it leaked, so that it can be looked for in the output.
PLANTED = """
import logging
import secrets
import sqlite3
import warnings

import anyio
import jwt
import psycopg
import pytest

from callcov_auth import Auth, AuthError, AuthSettings, Principal
from callcov_auth.keys import format as key_format
from callcov_auth.settings import SettingsError
from callcov_auth.store.protocol import SchemaError
from callcov_auth.store.sql import SqlStore
from callcov_auth.users.passwords import Passwords
from tests.support.postgres_server import running_postgres


def noted(secret):
    with open("secrets.txt", "a") as file:
        file.write(secret + "\\n")
    return secret


def made_settings(**values):
    return AuthSettings(_env_file=None, secret=noted(secrets.token_urlsafe(48)), **values)


def test_a_key_is_logged_by_a_logger_that_does_not_propagate():
    key = noted(key_format.mint(bytes(32), "live"))
    logger = logging.getLogger("somewhere.else")
    logger.propagate = False
    logger.error("made %s", key)


def test_a_key_is_logged_below_the_usual_level():
    logging.getLogger("callcov_auth").debug("made %s", noted(key_format.mint(bytes(32), "test", "dev")))


def test_a_token_is_in_a_logged_traceback():
    try:
        raise ValueError("bad token " + noted(jwt.encode({"sub": "ada"}, "k" * 32)))
    except ValueError:
        logging.getLogger("callcov_auth").exception("it failed")


def test_a_token_is_in_a_refusal():
    AuthError("no such token", details={"token": noted(jwt.encode({"sub": "ada"}, "k" * 32))})


def test_a_key_is_the_reason_of_a_refusal():
    AuthError(reason=noted(key_format.mint(bytes(32), "live")))


def test_a_password_is_in_a_schema_error():
    password = noted("Tr0ub4dor&3 'quoted'")
    anyio.run(lambda: Passwords(time_cost=1, memory_kib=8, workers=1).hash(password))
    SchemaError(password)


def test_a_secret_setting_that_was_refused_is_shown():
    weak = noted("letmein-letmein-letmein-" + secrets.token_hex(2)) * 2
    with pytest.raises(SettingsError):
        AuthSettings(_env_file=None, secret=weak, pepper="too short")
    SettingsError(weak)


def test_the_pepper_is_in_a_repr():
    pepper = noted(secrets.token_urlsafe(48))
    made_settings(pepper=pepper)
    Principal(subject=pepper, issuer="callcov", kind="token")


def test_a_derived_key_is_in_a_repr_of_a_room(monkeypatch):
    settings = made_settings(database_url="sqlite://")
    noted(settings.token_keys[0].hex())
    monkeypatch.setattr("callcov_auth.auth.Feed.__repr__", lambda feed: repr(settings.token_keys))
    Auth(settings)


@pytest.mark.filterwarnings("default")
def test_a_key_is_in_a_warning():
    warnings.warn("old key " + noted(key_format.mint(bytes(32), "live")))


def test_a_key_is_in_a_database(tmp_path):
    database = tmp_path / "auth.db"

    async def store_it():
        store = SqlStore(f"sqlite:///{database}")
        await store.open()
        await store.revoke_session(noted(key_format.mint(bytes(32), "live")), at=0)
        await store.aclose()

    anyio.run(store_it)


def test_a_key_is_in_a_database_that_nobody_closed(tmp_path):
    database = tmp_path / "auth.db"
    SqlStore(f"sqlite:///{database}")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", [noted(key_format.mint(bytes(32), "live"))])
    connection.close()


def test_a_key_is_in_postgresql():
    with running_postgres() as server, server.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (x TEXT)")
            connection.execute("INSERT INTO t VALUES (%s)", [noted(key_format.mint(bytes(32), "live"))])


def test_a_token_of_another_process_is_logged():
    part = secrets.token_urlsafe(32)
    logging.getLogger("other").error(noted(f"eyJ{part}.eyJ{part}.{part}"))
"""

CLEAN = """
import logging

from callcov_auth.keys import format as key_format


def test_nothing_leaks():
    key = key_format.mint(bytes(32), "live")
    logging.getLogger("callcov_auth").warning("made %s…", key[:14])
"""

EXPECTED = {
    ("API key", "log", "test_a_key_is_logged_by_a_logger_that_does_not_propagate"),
    ("API key", "log", "test_a_key_is_logged_below_the_usual_level"),
    ("token", "log", "test_a_token_is_in_a_logged_traceback"),
    ("token", "exception", "test_a_token_is_in_a_refusal"),
    ("API key", "exception", "test_a_key_is_the_reason_of_a_refusal"),
    ("password", "exception", "test_a_password_is_in_a_schema_error"),
    ("secret setting", "exception", "test_a_secret_setting_that_was_refused_is_shown"),
    ("secret setting", "repr", "test_the_pepper_is_in_a_repr"),
    ("derived key", "repr", "test_a_derived_key_is_in_a_repr_of_a_room"),
    ("API key", "warning", "test_a_key_is_in_a_warning"),
    ("API key", "database", "test_a_key_is_in_a_database"),
    ("API key", "database", "test_a_key_is_in_a_database_that_nobody_closed"),
    ("API key", "database", "test_a_key_is_in_postgresql"),
    ("something like a token", "log", "test_a_token_of_another_process_is_logged"),
}


def test_a_run_with_planted_leaks_fails_and_names_each_without_showing_it(tmp_path: Path) -> None:
    run = _run(tmp_path, PLANTED)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "14 passed" in run.stdout, run.stdout
    found = re.findall(r"LEAKED (.+) in (\w+), by \S+::(\w+)", run.stdout)
    assert {one for one in found if one[0] != "something like an API key"} - EXPECTED == set()
    assert EXPECTED - set(found) == set()
    for secret in (tmp_path / "secrets.txt").read_text().splitlines():
        assert secret not in run.stdout + run.stderr


def test_a_run_without_leaks_passes_and_tells_what_was_searched(tmp_path: Path) -> None:
    run = _run(tmp_path, CLEAN)
    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert re.search(r"leak scan: 1 secrets, 1 texts \(0\.0 MB\), 0 leaks", run.stdout)


@pytest.mark.parametrize(
    "shown",
    ["{}", "before{}after", "the pässwörd is {}", "\0{}\0", "{}" * 2, "x" * 5000 + "{}"],
    ids=["alone", "amid letters", "after other letters", "amid zeros", "twice", "at the end of much"],
)
def test_a_secret_is_found_wherever_it_stands(shown: str) -> None:
    scan, secret = LeakScan(), secrets.token_urlsafe(24)
    scan.secret("password", secret)
    scan.text("log", shown.replace("{}", secret))
    assert scan.leaks() == [Leak("password", "log", "no test")]


PASSWORD = 'naïve "quotes"\n& more'


@pytest.mark.parametrize(
    "shown",
    [PASSWORD, repr(PASSWORD), json.dumps(PASSWORD), quote(PASSWORD)],
    ids=["as it is", "repr", "JSON", "URL"],
)
def test_a_text_is_found_however_it_is_written(shown: str) -> None:
    scan = LeakScan()
    scan.secret("password", PASSWORD)
    scan.text("exception", shown)
    assert [leak.kind for leak in scan.leaks()] == ["password"]


def _base64(key: bytes) -> str:
    return urlsafe_b64encode(key).decode()


@pytest.mark.parametrize("form", [bytes, bytes.hex, repr, _base64], ids=["raw", "hex", "repr", "base64"])
def test_a_binary_key_is_found_however_it_is_written(form: Callable[[bytes], str | bytes]) -> None:
    scan, key = LeakScan(), secrets.token_bytes(32)
    scan.secret("derived key", key)
    scan.text("repr", form(key))
    assert [leak.kind for leak in scan.leaks()] == ["derived key"]


def test_a_secret_that_was_shown_before_it_was_known_is_found() -> None:
    scan, secret = LeakScan(), secrets.token_urlsafe(24)
    scan.text("log", secret)
    scan.secret("password", secret)
    assert len(scan.leaks()) == 1


def test_one_secret_among_thousands_is_found_with_its_test() -> None:
    scan = LeakScan()
    keys = [key_format.mint(bytes(32), "live") for _ in range(5000)]
    for key in keys:
        scan.secret("API key", key)
        scan.text("log", f"made {key[:14]}…")
    scan.test = "tests/test_x.py::test_y"
    scan.text("log", f"oops {keys[2500]}")
    known = [leak for leak in scan.leaks() if leak.kind == "API key"]
    assert known == [Leak("API key", "log", "tests/test_x.py::test_y")]


def test_part_of_a_secret_is_no_leak() -> None:
    scan, secret = LeakScan(), secrets.token_urlsafe(24)
    scan.secret("password", secret)
    scan.text("log", secret[:-1])
    scan.text("log", secret[1:])
    assert scan.leaks() == []


@pytest.mark.parametrize("word", ["short", "aaaaaaaaaaaa", "password", "invalid_token"])
def test_a_word_that_anybody_may_write_is_no_secret(word: str) -> None:
    scan = LeakScan()
    scan.secret("password", word)
    scan.text("log", f"the field {word} is required")
    assert scan.leaks() == []


def _run(folder: Path, tests: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_planted.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["-p", "tests.support.leak_watch", "-p", "no:cacheprovider", "--disable-warnings"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", *options, folder]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
