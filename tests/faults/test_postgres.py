"""PostgreSQL cut off, silent, slow, full, restarted and read-only: what is answered, and how it recovers."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import psycopg
import pytest

from callcov_auth import Auth, AuthError
from callcov_auth.cache.feed import TRUSTED_INTERVALS
from callcov_auth.errors import AuthUnavailable
from callcov_auth.store import postgres
from callcov_auth.store.breaker import FAILURES
from tests.support.clock import Clock
from tests.support.databases import Database
from tests.support.polling import eventually
from tests.support.postgres_server import PostgresServer, running_postgres
from tests.support.proxy import Proxy, proxy_to_file
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

INTERVAL = 0.05
TRUST = TRUSTED_INTERVALS * INTERVAL
FEW_CONNECTIONS = 12


@dataclass(slots=True)
class Scene:
    """An Auth on a server behind a network that can be broken, and keys: one used, some not, one revoked."""

    auth: Auth
    proxy: Proxy
    owner: str
    hot: str = field(repr=False)
    revoked: str = field(repr=False)
    cold: list[str] = field(repr=False)

    def a_cold_header(self) -> str:
        return self.cold.pop()

    async def outcome(self, header: str) -> str:
        """What becomes of a request with this header: the key's name, or the refusal's code."""
        try:
            principal = await self.auth.authenticate(header)
        except AuthError as refusal:
            return refusal.code
        assert principal.key_id is not None
        return "let in"

    async def recovers(self) -> None:
        """Wait until keys that were never seen are let in, and writes are made."""
        await eventually(self._serves_again)
        assert await self.outcome(self.hot) == "let in"
        await self._writes_again()

    async def _serves_again(self) -> bool:
        return await self.outcome(self.cold[0]) == "let in"

    async def _writes_again(self) -> None:
        async def wrote() -> bool:
            try:
                await self.auth.keys.create(self.owner, name="Written")
            except AuthUnavailable:
                return False
            return True

        await eventually(wrote)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = {"READ_TIMEOUT": 0.3, "PING_TIMEOUT": 0.1, "STATEMENT_TIMEOUT": 0.4, "LOCK_TIMEOUT": 0.2}
    for name, seconds in shorter.items():
        monkeypatch.setattr(postgres, name, seconds)
    monkeypatch.setattr(postgres._Connection, "patience", 0.3)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that may be stopped, filled and set, with few connections."""
    with running_postgres(f"max_connections = {FEW_CONNECTIONS}\n") as server:
        yield server


@pytest.fixture
async def scene(
    postgres_server: PostgresServer, postgres_database: Database, clock: Clock
) -> AsyncIterator[Scene]:
    name = psycopg.conninfo.conninfo_to_dict(postgres_database.url)["dbname"]
    with proxy_to_file(str(postgres_server.socket)) as proxy:
        async with _opened(proxy, str(name), clock) as made:
            yield made


@pytest.fixture
async def own_scene(own_server: PostgresServer, clock: Clock) -> AsyncIterator[Scene]:
    with own_server.database() as url, proxy_to_file(str(own_server.socket)) as proxy:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        async with _opened(proxy, str(name), clock) as made:
            yield made


@asynccontextmanager
async def _opened(proxy: Proxy, name: str, clock: Clock) -> AsyncIterator[Scene]:
    settings = make_settings(
        database_url=f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}",
        revocation_interval=INTERVAL,
        max_active_keys=10_000,
    )
    async with Auth(settings, clock=clock) as auth:
        owner = (await auth.users.create("ada@example.com", "a long way to Tipperary")).id
        keys = [await auth.keys.create(owner, name=f"Key {number}") for number in range(10)]
        hot, revoked, *cold = [f"Bearer {key.api_key.get_secret_value()}" for key in keys]
        await auth.authenticate(hot)
        await auth.keys.revoke(keys[1].id)
        yield Scene(auth, proxy, owner, hot, revoked, cold)
        # So that closing has nothing to wait for.
        proxy.mend()


async def test_cut_off_what_was_seen_is_served_as_long_as_it_is_trusted(scene: Scene, clock: Clock) -> None:
    scene.proxy.cut()
    assert await scene.outcome(scene.hot) == "let in"
    assert await scene.outcome(scene.a_cold_header()) == "auth_unavailable"
    clock.advance(TRUST)
    assert await scene.outcome(scene.hot) == "auth_unavailable"
    scene.proxy.mend()
    await scene.recovers()


async def test_half_open_a_wait_ends_and_the_next_ones_are_refused_at_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections that stand and are silent are the worst: no system call tells of them."""
    scene.proxy.hang()
    with caplog.at_level("INFO", "callcov_auth"):
        for _ in range(FAILURES):
            assert await scene.outcome(scene.a_cold_header()) == "auth_unavailable"
        assert await scene.outcome(scene.hot) == "let in"
        await eventually(lambda: "store_lost lane='reads'" in caplog.text)
        scene.proxy.mend()
        await scene.recovers()
        assert "store_restored lane='reads'" in caplog.text


async def test_an_answer_that_takes_too_long_is_given_up(scene: Scene) -> None:
    scene.proxy.delay(1.0)
    with pytest.raises(AuthUnavailable) as refusal:
        await scene.auth.authenticate(scene.a_cold_header())
    # The second where the feed's own question lost the connection first, so that a new one had to be made.
    assert refusal.value.reason in {"store_ServerSilent", "store_ConnectionTimeout"}
    scene.proxy.mend()
    await scene.recovers()


async def test_an_answer_that_takes_long_but_not_too_long_is_waited_for(scene: Scene) -> None:
    scene.proxy.delay(0.05)
    assert await scene.outcome(scene.a_cold_header()) == "let in"


async def test_after_a_fail_over_no_request_meets_a_connection_that_had_ended(scene: Scene) -> None:
    for _ in range(3):
        scene.proxy.reset()
        assert await scene.outcome(scene.a_cold_header()) == "let in"
        await scene.auth.keys.create(scene.owner, name="After")


async def test_a_statement_that_takes_too_long_is_undone_by_the_server(
    scene: Scene, postgres_database: Database
) -> None:
    lock = "LOCK TABLE callcov_revocations IN ACCESS EXCLUSIVE MODE"
    listed = await scene.auth.keys.list(scene.owner, limit=1)
    with postgres_database.connection() as other:
        other.execute("BEGIN")
        other.execute(lock)
        with pytest.raises(AuthUnavailable) as refusal:
            await scene.auth.keys.revoke(listed.keys[0].id)
    assert refusal.value.reason == "store_LockNotAvailable"
    assert (await scene.auth.keys.get(listed.keys[0].id)).revoked_at is None
    await scene.recovers()


async def test_whatever_the_network_does_no_answer_is_wrong(scene: Scene, clock: Clock) -> None:
    outcomes: dict[str, Counter[str]] = {"hot": Counter(), "cold": Counter(), "revoked": Counter()}
    headers = {"hot": scene.hot, "cold": scene.a_cold_header(), "revoked": scene.revoked}
    is_over = anyio.Event()

    async def ask(kind: str) -> None:
        while not is_over.is_set():
            if kind == "cold":
                scene.auth.callers.forget_all()
            outcomes[kind][await scene.outcome(headers[kind])] += 1
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        for kind in (*headers, *headers):
            group.start_soon(ask, kind)
        for fault in (scene.proxy.hang, scene.proxy.cut, scene.proxy.reset, lambda: scene.proxy.delay(0.4)):
            fault()
            await anyio.sleep(0.5)
            clock.advance(TRUST)
            scene.proxy.mend()
            await eventually(scene._serves_again)
        is_over.set()
    assert outcomes["hot"].keys() <= {"let in", "auth_unavailable"}
    assert outcomes["cold"].keys() == {"let in", "auth_unavailable"}
    assert outcomes["revoked"].keys() == {"token_revoked", "auth_unavailable"}


async def test_however_often_the_network_fails_the_connections_stay_within_their_bound(scene: Scene) -> None:
    for _ in range(2):
        scene.proxy.hang()
        async with anyio.create_task_group() as group:
            for header in scene.cold:
                group.start_soon(scene.outcome, header)
        scene.proxy.mend()
        await eventually(scene._serves_again)
    await scene.recovers()
    await eventually(lambda: scene.proxy.clients <= postgres.READERS + postgres.WRITERS)


async def test_a_server_out_of_connections_is_unavailable_until_one_is_free(
    own_scene: Scene, own_server: PostgresServer
) -> None:
    with ExitStack() as taken:

        async def finds_none() -> bool:
            # Again, where the poll was quicker to take what the reset had freed.
            own_scene.proxy.reset()
            with suppress(psycopg.OperationalError):
                for _ in range(2 * FEW_CONNECTIONS):
                    taken.enter_context(psycopg.connect(own_server.url()))
            return await own_scene.outcome(own_scene.a_cold_header()) == "auth_unavailable"

        await eventually(finds_none)
        assert await own_scene.outcome(own_scene.hot) == "let in"
    await own_scene.recovers()


@pytest.fixture
def few_connections(own_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """The URLs of one database: an administrator's, and one's who may have three connections."""
    with own_server.database() as url:
        own_server.run("CREATE ROLE few LOGIN CONNECTION LIMIT 3 IN ROLE postgres INHERIT")
        try:
            yield url, url.replace("postgres@", "few@")
        finally:
            own_server.run("DROP ROLE few")


async def test_with_fewer_connections_than_readers_callers_take_turns_and_none_is_refused(
    few_connections: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs = few_connections
    settings = make_settings(database_url=mine, max_active_keys=100)
    async with Auth(settings) as auth:
        owner = (await auth.users.create("ada@example.com", "a long way to Tipperary")).id
        keys = [await auth.keys.create(owner, name=f"Key {number}") for number in range(60)]
    # One of the three is the writers'; four threads read.
    async with Auth(settings.replace(database_url=theirs)) as few, anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(few.authenticate, f"Bearer {key.api_key.get_secret_value()}")
    assert "store_lost" not in caplog.text
    assert "feed_lost" not in caplog.text


async def test_a_write_gets_a_connection_where_readers_have_taken_all(
    few_connections: tuple[str, str], own_server: PostgresServer
) -> None:
    mine, theirs = few_connections
    settings = make_settings(database_url=mine, max_active_keys=100)
    async with Auth(settings) as auth:
        owner = (await auth.users.create("ada@example.com", "a long way to Tipperary")).id
        key = (await auth.keys.create(owner, name="Key")).api_key.get_secret_value()
    async with Auth(settings.replace(database_url=theirs, audit_days=0)) as few:

        async def look() -> None:
            few.callers.forget_all()
            await few.authenticate(f"Bearer {key}")

        async def readers_have_all() -> bool:
            # As after a restart of the server under load, where readers are quicker.
            few.store._database.writing.dispose()  # type: ignore[attr-defined]
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(look)
            pool = few.store._database.reading.engine.pool  # type: ignore[attr-defined]
            return bool(pool.checkedout() == 3)

        await eventually(readers_have_all)
        made = await few.keys.create(owner, name="Written")
        assert await few.authenticate(f"Bearer {made.api_key.get_secret_value()}")
        await look()

        # One for each lane; the writers' pool has two places, of which one can be filled.
        own_server.run(
            "ALTER ROLE few CONNECTION LIMIT 2",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few'",
        )

        async def write() -> None:
            with suppress(AuthUnavailable):
                await few.keys.create(owner, name="Perhaps")

        for _ in range(3):
            async with anyio.create_task_group() as group:
                for act in (look, look, write, write):
                    group.start_soon(act)
        for _ in range(4):
            await few.keys.create(owner, name="Written")


async def test_a_server_that_is_restarted_is_used_again(own_scene: Scene, own_server: PostgresServer) -> None:
    own_server.stop()
    assert await own_scene.outcome(own_scene.a_cold_header()) == "auth_unavailable"
    assert await own_scene.outcome(own_scene.hot) == "let in"
    own_server.start()
    await own_scene.recovers()


async def test_a_server_that_only_reads_lets_in_and_refuses_writes_until_it_is_mended(
    own_scene: Scene, own_server: PostgresServer
) -> None:
    own_server.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        await eventually(lambda: own_server.query("SHOW default_transaction_read_only") == [("on",)])
        with pytest.raises(AuthUnavailable) as refusal:
            await own_scene.auth.keys.create(own_scene.owner, name="Refused")
        assert refusal.value.reason == "store_ReadOnlySqlTransaction"
        for _ in range(FAILURES):
            assert await own_scene.outcome(own_scene.a_cold_header()) == "let in"
    finally:
        own_server.run("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    await own_scene.recovers()
