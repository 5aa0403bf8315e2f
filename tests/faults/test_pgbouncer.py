"""pgbouncer in transaction mode before PostgreSQL: each transaction may meet another of its sessions."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import psycopg
import pytest

from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract import StoreContract
from callcov_auth.testing.store_contract.samples import NO_LIMIT, NOW, make_key, with_keys, with_user
from tests.support.databases import Database
from tests.support.postgres_server import PostgresServer

pytestmark = pytest.mark.long

START_TIMEOUT = 20.0
# Fewer than the store has, so that they are shared from one transaction to the next.
SESSIONS = 3


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer) -> Iterator[int]:
    """A running pgbouncer's port."""
    program = shutil.which("pgbouncer")
    assert program is not None, "pgbouncer is not installed: it is Debian's package of that name"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="callcov-pgbouncer-"))
    (folder / "users.txt").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={postgres_server.socket.parent} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {folder}/users.txt\n"
        f"pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 200\n"
    )
    folder.chmod(0o755)
    # It refuses to run as root, and the server's socket is for the user that the server runs as.
    owner = postgres_server.folder.stat().st_uid if os.geteuid() == 0 else None
    command = [program, "-q", str(folder / "pgbouncer.ini")]
    with subprocess.Popen(command, user=owner, stdout=subprocess.DEVNULL) as process:
        try:
            _await(port, process)
            yield port
        finally:
            process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(pooler: int, postgres_database: Database) -> str:
    name = psycopg.conninfo.conninfo_to_dict(postgres_database.url)["dbname"]
    return f"postgresql://postgres@127.0.0.1:{pooler}/{name}"


class TestStoreBehindPgbouncer(StoreContract):
    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[SqlStore]:
        opened = SqlStore(url)
        await opened.open()
        yield opened
        await opened.aclose()


@pytest.mark.anyio
async def test_many_stores_share_few_sessions_and_read_what_was_written(url: str) -> None:
    stores = [SqlStore(url) for _ in range(5)]
    for store in stores:
        await store.open()
    await with_user(stores[0])
    await with_keys(stores[0], *(make_key(f"key_{number}") for number in range(20)))

    async def use(store: SqlStore, number: int) -> None:
        for turn in range(20):
            key = make_key(f"key_{turn}")
            (found,) = await store.keys_by_digest([key.digest])
            assert found.key.id == key.id
            await store.add_key(make_key(f"key_{number}_{turn}"), max_active=NO_LIMIT)

    async with anyio.create_task_group() as group:
        for number, store in enumerate(stores):
            for part in range(4):
                group.start_soon(use, store, 10 * number + part)
    page = await stores[0].keys(None, at=NOW, include_expired=True, limit=NO_LIMIT, cursor=None)
    assert page.total == 20 + 5 * 4 * 20
    for store in stores:
        await store.aclose()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, "pgbouncer ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("pgbouncer does not listen")
