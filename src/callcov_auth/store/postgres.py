"""What is PostgreSQL's own: connections that never wait for ever, and transactions with a bound.

Nothing here outlives a transaction on the server's side, so that pgbouncer may stand between in its
transaction mode: no settings of a session and no locks of a session, and prepared statements only where
nothing stands between.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from traceback import clear_frames
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError

from callcov_auth.settings import SettingsError
from callcov_auth.store.database import Database, never
from callcov_auth.store.kept import KeptConnections
from callcov_auth.store.prepared import Execute

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError as error:
    raise ImportError(
        "PostgreSQL is reached through psycopg: pip install 'callcov-auth[postgres]'"
    ) from error

T = TypeVar("T")

# How many connections a process holds at most, for reads and for writes.
READERS = 4
WRITERS = 2
# In seconds. The first is the least that libpq knows, and holds for each host that the address names.
CONNECT_TIMEOUT = 2
# How long a server may say nothing while it is asked something: no server, or one that is far too slow.
READ_TIMEOUT = 3.0
# The same, for whether a connection is alive; one that is not is made anew, within CONNECT_TIMEOUT.
PING_TIMEOUT = 1.0
# How long a write and its locks may take there. The server ends it itself, so it is known to be undone.
STATEMENT_TIMEOUT = 4.0
LOCK_TIMEOUT = 3.0
# After so many times a server keeps a statement: to plan it takes longer than all the rest.
PREPARE_THRESHOLD = 3
# Until a server has seen that a connection was closed.
PAUSES = (0.01, 0.05, 0.2)
# By how much the server is given the first word.
_MARGIN = 1.0
# After so long a connection is made anew, so that names and balancers are asked again.
_RECYCLE = 1800

_ALWAYS = {
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "callcov-auth",
    # A server that is gone is found out while nobody asks it anything.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# SQLSTATEs (PostgreSQL, appendix A): deadlock, and what a stricter isolation would call one.
_COLLISIONS = ("40P01", "40001")
# What another connection may do better: a server that only reads, after a fail-over; a statement that was
# prepared before a migration, or for which there was a pooler that did not show.
_ANOTHER_CONNECTION = ("25006", "0A000", "26000", "42P05")
_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+(\w+))?://")


def postgres_database(url: str) -> Database:
    """``url`` is libpq's, with all that it can say (PostgreSQL, §34.1.1.2). Raises SettingsError."""
    options = _ALWAYS | _options(url)
    reading = KeptConnections(
        _engine(
            options, READERS, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, pool_use_lifo=True
        ),
        longest=_RECYCLE,
        is_refused=lambda error: _is_refused(error.orig),
    )
    # Asked first whether it is alive, for a write cannot be tried again. Readers take turns with fewer, where
    # writers would have none.
    engine = _engine(options, WRITERS, make_room=reading.make_room, pool_pre_ping=True, pool_use_lifo=False)
    event.listen(engine, "checkin", _be_impatient)
    writing = _Writers(engine)
    return Database(
        reading=reading,
        writing=writing,
        readers=READERS,
        writers=WRITERS,
        takes_turns=False,
        begin=_begin,
        prepared=partial(_prepared, writing),
        snapshot=_snapshot,
        prepare=_nothing,
        errors=(psycopg.Error,),
        is_lost=_is_lost,
        is_stale=_is_stale,
        is_collision=_is_collision,
    )


@dataclass(frozen=True, slots=True)
class _Writers:
    """The pool's places in turn, for one may be empty and not to be filled, and another have a connection."""

    engine: Engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()

    def _connect(self) -> Connection:
        for _ in range(WRITERS - 1):
            try:
                return self.engine.connect()
            except DBAPIError as error:
                if not _is_refused(error.orig):
                    raise
        return self.engine.connect()


class ServerSilent(psycopg.OperationalError):
    """The server said nothing for too long."""


class _Connection(psycopg.Connection[Any]):
    """A connection that is given up where the server says nothing for ``patience`` seconds.

    The server's own time-outs cannot do that: they do not help where the server or the way to it is gone.
    """

    patience = READ_TIMEOUT

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().wait(_within(gen, self.patience), *args, **kwargs)
        except ServerSilent:
            # What it would say later is the answer to a question that nobody asks any more.
            self.close()
            raise


def _within(waiting: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
    """Pass on what psycopg waits for. It wakes up ten times in a second, where nothing came (READY_NONE)."""
    deadline = monotonic() + patience
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if ready:
                deadline = monotonic() + patience
            elif monotonic() >= deadline:
                raise ServerSilent("the server says nothing")
            wanted = waiting.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _options(url: str) -> dict[str, Any]:
    scheme = _SCHEME.match(url)
    rest = url[scheme.end() :] if scheme else url
    if scheme and scheme[1] == "asyncpg":
        # The one option that both have under different names.
        rest = re.sub(r"([?&])ssl=", r"\1sslmode=", rest)
    try:
        options: dict[str, Any] | None = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error:
        options = None
    if options is not None:
        # Of several servers, the one that takes writes; another would tell late of what was revoked.
        several = {"target_session_attrs": "read-write"} if "," in options.get("host", "") else {}
        return several | options
    # Outside the handler, for the driver's text may hold the password.
    raise SettingsError(
        "CALLCOV_AUTH_DATABASE_URL: it cannot be read; write postgresql://USER:PASSWORD@HOST:5432/DATABASE, "
        "with %-signs for what is special in a password"
    )


def _engine(
    options: dict[str, Any], size: int, *, make_room: Callable[[], bool] = never, **more: Any
) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_recycle=_RECYCLE,
        use_native_hstore=False,
        **more,
    )

    def connect(_dialect: Any, _record: Any, _args: Any, ours: dict[str, Any]) -> Any:
        try:
            return _connected(**options, **ours)
        except psycopg.OperationalError as error:
            if not _is_refused(error) or not make_room():
                raise
        return _connected_soon(**options, **ours)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", _see_whether_it_is_lost)
    return engine


def _connected(**options: Any) -> _Connection:
    try:
        made = _Connection.connect(**options, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        # Its frames hold what could not be connected, in a circle that would keep the socket open.
        clear_frames(error.__traceback__)
        raise
    try:
        (pid,) = made.execute("SELECT pg_backend_pid()").fetchone() or (None,)
        # A pooler has told a number of its own, since whoever answers now need not answer the next time.
        if pid == made.info.backend_pid:
            made.prepare_threshold = PREPARE_THRESHOLD
        made.autocommit = False
    except psycopg.Error:
        made.close()
        raise
    return made


def _connected_soon(**options: Any) -> _Connection:
    """Connect where another connection was closed just now, of which the server hears a moment later."""
    for pause in PAUSES:
        sleep(pause)
        with suppress(psycopg.OperationalError):
            return _connected(**options)
    return _connected(**options)


def _begin(connection: Connection, seconds: float | None) -> None:
    statement_timeout = seconds or STATEMENT_TIMEOUT
    driver: Any = connection.connection.driver_connection
    driver.patience = statement_timeout + _MARGIN
    # Of this transaction alone (true), as SET LOCAL is.
    connection.execute(
        select(
            func.set_config("statement_timeout", _milliseconds(statement_timeout), True),
            func.set_config("lock_timeout", _milliseconds(seconds or LOCK_TIMEOUT), True),
        )
    )


@contextmanager
def _prepared(writing: _Writers) -> Iterator[Execute]:
    # By way of SQLAlchemy, which sees when a connection has ended; the way to a server takes longer.
    with writing.begin() as connection:
        _begin(connection, None)
        yield lambda prepared, values: prepared.over(values, connection)


def _snapshot(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    _begin(connection, seconds)


def _be_impatient(connection: Any, _record: Any) -> None:
    """Of the next write, which asks first whether it is alive, and then has a patience of its own."""
    if connection is not None:
        connection.patience = PING_TIMEOUT


def _see_whether_it_is_lost(context: Any) -> None:
    if _sqlstate(context.original_exception) in _ANOTHER_CONNECTION:
        context.is_disconnect = True


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _is_lost(error: Exception, connection: Any) -> bool:
    return connection.closed or connection.broken or _sqlstate(error) in _ANOTHER_CONNECTION


def _is_stale(error: Exception) -> bool:
    silent = isinstance(getattr(error, "orig", None), ServerSilent)
    return isinstance(error, DBAPIError) and error.connection_invalidated and not silent


def _is_refused(error: object) -> bool:
    """Whether a server said no to one connection more, which has no SQLSTATE, and words of any language."""
    return not isinstance(error, psycopg.errors.ConnectionTimeout | ServerSilent)


def _is_collision(error: Exception) -> bool:
    return _sqlstate(getattr(error, "orig", None)) in _COLLISIONS


def _sqlstate(error: object) -> str | None:
    return getattr(error, "sqlstate", None)


def _nothing() -> None:
    return None
