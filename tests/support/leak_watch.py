"""A pytest plugin that feeds the leak scan from the whole run, and fails the run for a leak.

It wraps the places where secrets are made and where things are shown; the tests notice nothing of it.
"""

import functools
import logging
import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from pydantic import SecretStr

from callcov_auth import settings as settings_module
from callcov_auth.auth import Auth
from callcov_auth.credential import Credential
from callcov_auth.errors import AuthError
from callcov_auth.keys import format as key_format
from callcov_auth.keys.service import NewKey
from callcov_auth.principal import Principal
from callcov_auth.settings import ENV_PREFIX, AuthSettings, SettingsError
from callcov_auth.store.protocol import Key, SchemaError, Session, User
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.issuer import TokenPair
from callcov_auth.users.passwords import Passwords
from tests.support.leaks import Leak, LeakScan
from tests.support.postgres_server import PostgresServer

SECRET_SETTINGS = ("secret", "pepper")
SHOWN_RECORDS = (Credential, Key, NewKey, Principal, Session, TokenPair, User)

_ADDRESS = re.compile(" at 0x[0-9a-f]+")
# SQLite keeps data by the page, also in its log, where each has a header.
PAGE = 4096
_NOTHING = re.compile(rb"\0{2,}")
WAL_HEADER, WAL_FRAME = 32, PAGE + 24


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeakWatch(), "leak-watch")


class LeakWatch:
    def __init__(self) -> None:
        self.scan = LeakScan()
        self.leaks: list[Leak] = []
        self._unclosed: dict[Path, str] = {}
        self._watch_secrets()
        self._watch_logs()
        self._watch_objects()
        self._watch_databases()

    def _watch_secrets(self) -> None:
        _after(key_format, "mint", lambda key, *_, **__: self.scan.secret("API key", key))
        _after(jwt, "encode", lambda token, *_, **__: self.scan.secret("token", token))
        _after(settings_module, "derive", lambda key, *_: self.scan.secret("derived key", key))
        _before(Passwords, "hash", self._see_password)
        _before(Passwords, "verify", self._see_password)
        _before(AuthSettings, "__init__", self._see_given_settings)
        _after(AuthSettings, "__init__", self._see_settings)

    def _see_password(self, *given: Any, **named: str) -> None:
        self.scan.secret("password", named.get("password") or given[-1])

    def _see_given_settings(self, _: AuthSettings, **values: Any) -> None:
        # Before they are validated, because those that are refused must not be shown either.
        for name in SECRET_SETTINGS:
            self._see_setting(values.get(name))
            self._see_setting(os.environ.get(ENV_PREFIX + name.upper()))

    def _see_settings(self, _: None, settings: AuthSettings, **__: Any) -> None:
        for name in SECRET_SETTINGS:
            self._see_setting(getattr(settings, name))
        if settings.redis_url is not None:
            self._see_setting(urlsplit(settings.redis_url.get_secret_value()).password)
        self.scan.text("repr", repr(settings))

    def _see_setting(self, value: object) -> None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str):
            self.scan.secret("secret setting", text)

    def _watch_logs(self) -> None:
        # Every logger's records, also of those that do not propagate, as uvicorn's.
        _before(logging.Logger, "callHandlers", self._see_record)
        logging.getLogger("callcov_auth").setLevel(logging.DEBUG)

    def _see_record(self, _: logging.Logger, record: logging.LogRecord) -> None:
        self.scan.text("log", logging.Formatter("%(name)s %(message)s").format(record))

    def _watch_objects(self) -> None:
        for record in SHOWN_RECORDS:
            _after(record, "__init__", lambda _, made, *__, **___: self.scan.text("repr", repr(made)))
        _after(Auth, "__init__", lambda _, auth, *__, **___: self._see_auth(auth))
        for error in (AuthError, SettingsError, SchemaError):
            _after(error, "__init__", lambda _, made, *__, **___: self._see_error(made))

    def _see_auth(self, auth: Auth) -> None:
        for room in (auth, *vars(auth).values()):
            self.scan.text("repr", _ADDRESS.sub("", repr(room)))

    def _see_error(self, error: Exception) -> None:
        self.scan.text("exception", f"{error} {error!r} {vars(error)}")

    def _watch_databases(self) -> None:
        _after(SqlStore, "__init__", lambda _, store, *__, **___: self._expect_database_of(store))
        _before(SqlStore, "aclose", self._see_database_of)
        _after(PostgresServer, "forget", lambda rows, *_: self._see_rows(rows))

    def _expect_database_of(self, store: SqlStore) -> None:
        for path in _file_of(store):
            self._unclosed[path] = self.scan.test

    def _see_database_of(self, store: SqlStore) -> None:
        for path in _file_of(store):
            self._unclosed.pop(path, None)
            self._see_database(path)

    def _see_database(self, path: Path) -> None:
        for page in (*_pages(path, 0, PAGE), *_pages(Path(f"{path}-wal"), WAL_HEADER, WAL_FRAME)):
            self.scan.text("database", page)

    def _see_rows(self, rows: list[bytes]) -> None:
        for row in rows:
            self.scan.text("database", row)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.scan.test = nodeid

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        self.scan.text("warning", str(warning_message.message))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for path, test in self._unclosed.items():
            self.scan.test = test
            self._see_database(path)
        self.leaks = self.scan.leaks()
        if self.leaks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        if self.leaks:
            terminalreporter.section("secrets leaked", red=True, bold=True)
        for leak in self.leaks:
            terminalreporter.write_line(f"LEAKED {leak.kind} in {leak.place}, by {leak.test}", red=True)
        terminalreporter.write_line(f"leak scan: {self.scan.counts()}, {len(self.leaks)} leaks")


def _before(owner: Any, name: str, look: Callable[..., object]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, watched)


def _after(owner: Any, name: str, look: Callable[..., object]) -> None:
    """Call ``look`` with the result, and then what the call was given."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        look(result, *args, **kwargs)
        return result

    setattr(owner, name, watched)


def _file_of(store: SqlStore) -> set[Path]:
    return set() if store.file is None else {Path(store.file).absolute()}


def _pages(path: Path, start: int, size: int) -> Iterator[bytes]:
    if not path.exists():
        return
    # Read by another process, for closing a file here would drop the locks that SQLite holds on it here.
    content = subprocess.run(["cat", "--", path], capture_output=True, check=False).stdout
    for at in range(start, len(content), size):
        yield _NOTHING.sub(b"\0", content[at : at + size])
