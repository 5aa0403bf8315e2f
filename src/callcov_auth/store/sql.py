"""The store over SQLAlchemy Core: one call, one transaction, one hop to a worker thread.

Reads run in autocommit, writes in one transaction that takes the write lock as it begins. SQLite gives
each of the two a lane of its own, so that no lookup waits for a write to reach the disk.
"""

import math
import os
import sqlite3
import time
import weakref
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Table,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from callcov_auth.errors import AuthUnavailable, Conflict, KeyLimitReached, ValidationFailed
from callcov_auth.store.protocol import Change, Key, KeyPage, OwnedKey, Session, Target, User
from callcov_auth.store.schema import bring_up_to_date
from callcov_auth.store.tables import api_keys, revocations, sessions, users

T = TypeVar("T")

# How long a write waits for another process to give the lock back, in milliseconds.
BUSY_TIMEOUT_MS = 5000
# The most that one poll of the feed reads; past it a cache is emptied rather than picked through.
MAX_CHANGES = 1000
# How long a change is told, in seconds: far beyond the longest life of a cached principal (cache_ttl).
CHANGES_KEPT = 86400

# Built once: making a statement costs more than sending it.
_KEY_BY_DIGEST = (
    select(api_keys, users.c.scopes.label("owner_scopes"), users.c.disabled_at.label("owner_disabled_at"))
    .join(users, users.c.id == api_keys.c.owner)
    .where(api_keys.c.digest == bindparam("digest"))
)
_KEY_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
_USER_BY_ID = select(users).where(users.c.id == bindparam("user_id"))
_USER_BY_EMAIL = select(users).where(users.c.email == bindparam("email"))
_SESSION_BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))
_NEWEST_CHANGE = select(func.coalesce(func.max(revocations.c.id), 0))
_CHANGES = (
    select(revocations.c.id, revocations.c.target, revocations.c.target_id)
    .where(revocations.c.id > bindparam("cursor"))
    .order_by(revocations.c.id)
    .limit(MAX_CHANGES + 1)
)


class SqlStore:
    """Users, keys, sessions and revocations in SQLite. ``url`` is SQLAlchemy's, ``sqlite://`` is memory."""

    def __init__(self, url: str, *, auto_migrate: bool = True) -> None:
        self._engine = _sqlite_engine(make_url(url).set(drivername="sqlite"))
        # Where a server tells of no shutdown, nobody calls aclose.
        weakref.finalize(self, self._engine.dispose)
        self._auto_migrate = auto_migrate
        self._read_lane = CapacityLimiter(1)
        # A database in memory has one connection, so reads and writes take turns.
        in_memory = isinstance(self._engine.pool, StaticPool)
        self._write_lane = self._read_lane if in_memory else CapacityLimiter(1)

    def __repr__(self) -> str:
        return "SqlStore()"

    async def open(self) -> None:
        def work(connection: Connection) -> None:
            bring_up_to_date(connection, migrate=self._auto_migrate)

        await to_thread.run_sync(_create_private, self._engine.url.database, limiter=self._write_lane)
        await self._write(work)

    async def aclose(self) -> None:
        await to_thread.run_sync(self._engine.dispose, limiter=self._write_lane)

    async def add_user(self, user: User) -> None:
        await self._write(lambda connection: connection.execute(insert(users), [_user_values(user)]))

    async def user(self, user_id: str) -> User | None:
        return await self._first(_USER_BY_ID, _user, user_id=user_id)

    async def user_by_email(self, email: str) -> User | None:
        return await self._first(_USER_BY_EMAIL, _user, email=email)

    async def users(self) -> Sequence[User]:
        statement = select(users).order_by(users.c.created_at, users.c.id)
        return await self._read(lambda connection: [_user(row) for row in connection.execute(statement)])

    async def renew_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        unchanged = and_(users.c.id == user_id, users.c.password_hash == old)
        statement = update(users).where(unchanged).values(password_hash=new)
        await self._write(lambda connection: connection.execute(statement))

    async def change_password(self, user_id: str, password_hash: str, *, at: float) -> bool:
        def work(connection: Connection) -> bool:
            found = _update_user(connection, user_id, password_hash=password_hash)
            return found and _revoke_sessions_of(connection, user_id, at)

        return await self._write(work)

    async def set_user_scopes(self, user_id: str, scopes: frozenset[str], *, at: float) -> bool:
        def work(connection: Connection) -> bool:
            found = _update_user(connection, user_id, scopes=_joined(scopes))
            return found and _tell(connection, "user", user_id, at)

        return await self._write(work)

    async def disable_user(self, user_id: str, *, at: float) -> bool:
        def work(connection: Connection) -> bool:
            found = _update_user(connection, user_id, disabled_at=func.coalesce(users.c.disabled_at, at))
            return found and _revoke_sessions_of(connection, user_id, at)

        return await self._write(work)

    async def add_key(self, key: Key, *, max_active: int) -> None:
        await self._write(lambda connection: _insert_key(connection, key, max_active))

    async def key_by_digest(self, digest: bytes) -> OwnedKey | None:
        return await self._first(_KEY_BY_DIGEST, _owned_key, digest=digest)

    async def key(self, key_id: str) -> Key | None:
        return await self._first(_KEY_BY_ID, _key, key_id=key_id)

    async def keys(
        self, owner: str | None, *, at: float, include_expired: bool, limit: int, cursor: str | None
    ) -> KeyPage:
        listed = api_keys.c.owner == owner if owner is not None else api_keys.c.owner.is_not(None)
        if not include_expired:
            listed = and_(listed, _working(at))
        page = select(api_keys).where(listed)
        if cursor is not None:
            page = page.where(tuple_(api_keys.c.created_at, api_keys.c.id) < tuple_(*_from_cursor(cursor)))
        page = page.order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()).limit(limit + 1)

        def work(connection: Connection) -> KeyPage:
            found = [_key(row) for row in connection.execute(page)]
            total = connection.execute(select(func.count()).select_from(api_keys).where(listed)).scalar_one()
            more = len(found) > limit
            return KeyPage(found[:limit], total, _to_cursor(found[limit - 1]) if more else None)

        return await self._read(work)

    async def revoke_key(self, key_id: str, *, at: float) -> None:
        def work(connection: Connection) -> None:
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id)
                .values(revoked_at=func.coalesce(api_keys.c.revoked_at, at))
            )
            _tell(connection, "key", key_id, at)

        await self._write(work)

    async def replace_key(self, key_id: str, new: Key, *, ends_at: float, max_active: int) -> None:
        def work(connection: Connection) -> None:
            # In this transaction: a key that was revoked a moment ago must not come back as its successor.
            alive = select(api_keys.c.id).where(api_keys.c.id == key_id, _working(new.created_at))
            if connection.execute(alive).first() is None:
                raise Conflict("The API key works no more, so it cannot be rotated", reason="key_ended")
            _insert_key(connection, new, max_active)
            earlier = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > ends_at)
            connection.execute(
                update(api_keys).where(api_keys.c.id == key_id, earlier).values(expires_at=ends_at)
            )
            _tell(connection, "key", key_id, new.created_at)

        await self._write(work)

    async def touch_keys(self, last_used: Mapping[str, float]) -> None:
        if not last_used:
            return
        later = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used_at"))
        statement = (
            update(api_keys)
            .where(api_keys.c.id == bindparam("key_id"), later)
            .values(last_used_at=bindparam("used_at"))
        )
        rows = [{"key_id": key_id, "used_at": used_at} for key_id, used_at in last_used.items()]
        await self._write(lambda connection: connection.execute(statement, rows))

    async def has_imported_keys(self) -> bool:
        statement = select(api_keys.c.id).where(api_keys.c.imported).limit(1)
        return await self._read(lambda connection: connection.execute(statement).first() is not None)

    async def add_session(self, session: Session, *, password_hash: str | None = None) -> bool:
        def work(connection: Connection) -> bool:
            if password_hash is not None and not _has_password(connection, session.subject, password_hash):
                return False
            ended = and_(sessions.c.subject == session.subject, sessions.c.expires_at <= session.created_at)
            connection.execute(delete(sessions).where(ended))
            connection.execute(insert(sessions), [_session_values(session)])
            return True

        return await self._write(work)

    async def session(self, session_id: str) -> Session | None:
        return await self._first(_SESSION_BY_ID, _session, session_id=session_id)

    async def revoke_session(self, session_id: str, *, at: float) -> None:
        def work(connection: Connection) -> None:
            connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id)
                .values(revoked_at=func.coalesce(sessions.c.revoked_at, at))
            )
            _tell(connection, "session", session_id, at)

        await self._write(work)

    async def changes_after(self, cursor: int | None) -> tuple[int, Sequence[Change] | None]:
        def work(connection: Connection) -> tuple[int, Sequence[Change] | None]:
            if cursor is None:
                return connection.execute(_NEWEST_CHANGE).scalar_one(), []
            rows = connection.execute(_CHANGES, {"cursor": cursor}).all()
            if len(rows) > MAX_CHANGES:
                return connection.execute(_NEWEST_CHANGE).scalar_one(), None
            return (rows[-1].id if rows else cursor), [Change(row.target, row.target_id) for row in rows]

        return await self._read(work)

    async def _first(self, statement: Any, to: Callable[[Row[Any]], T], **values: Any) -> T | None:
        def work(connection: Connection) -> T | None:
            row = connection.execute(statement, values).first()
            return None if row is None else to(row)

        return await self._read(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        def hop() -> T:
            # SQLite opens no transaction for a SELECT by itself: each one sees the newest commit.
            with self._engine.connect() as connection:
                return work(connection)

        return await to_thread.run_sync(_guarded, hop, limiter=self._read_lane)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        def hop() -> T:
            with self._engine.begin() as connection:
                # Taken now, for a transaction that reads first cannot take it later without failing.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return work(connection)

        return await to_thread.run_sync(_guarded, hop, limiter=self._write_lane)


def _create_private(name: str | None) -> None:
    """Make a new database file readable for its owner alone, since it holds password hashes."""
    if not name or name.startswith((":", "file:")):
        return
    # What goes wrong here goes wrong in connecting too, and is told there.
    with suppress(OSError):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600))


def _guarded(hop: Callable[[], T]) -> T:
    """Turn the database's errors into refusals; their texts may hold values, so they are dropped."""
    try:
        return hop()
    except IntegrityError:
        refusal: Conflict | AuthUnavailable = Conflict(reason="integrity_error")
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        refusal = AuthUnavailable(reason=f"store_{type(cause).__name__}")
    raise refusal


def _sqlite_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": {"check_same_thread": False}}
    if url.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    else:
        # One connection for each lane; a third caller cannot come.
        options |= {"pool_size": 2, "max_overflow": 0}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _switch_to_wal(cursor)
    # FULL: an acknowledged write outlives a power cut, not only a killed process.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    # The one step for which SQLite itself does not wait while another process holds the lock.
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


def _working(at: float) -> Any:
    return and_(
        api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at)
    )


def _insert_key(connection: Connection, key: Key, max_active: int) -> None:
    count = (
        select(func.count())
        .select_from(api_keys)
        .where(api_keys.c.owner == key.owner, _working(key.created_at))
    )
    if connection.execute(count).scalar_one() >= max_active:
        raise KeyLimitReached()
    connection.execute(insert(api_keys), [_key_values(key)])


def _has_password(connection: Connection, user_id: str, password_hash: str) -> bool:
    unchanged = and_(
        users.c.id == user_id, users.c.password_hash == password_hash, users.c.disabled_at.is_(None)
    )
    return connection.execute(select(users.c.id).where(unchanged)).first() is not None


def _update_user(connection: Connection, user_id: str, **values: Any) -> bool:
    return connection.execute(update(users).where(users.c.id == user_id).values(**values)).rowcount == 1


def _revoke_sessions_of(connection: Connection, user_id: str, at: float) -> bool:
    alive = and_(sessions.c.subject == user_id, sessions.c.revoked_at.is_(None))
    connection.execute(update(sessions).where(alive).values(revoked_at=at))
    return _tell(connection, "user", user_id, at)


def _tell(connection: Connection, target: Target, target_id: str, at: float) -> bool:
    connection.execute(delete(revocations).where(revocations.c.at < at - CHANGES_KEPT))
    connection.execute(insert(revocations), [{"target": target, "target_id": target_id, "at": at}])
    return True


def _joined(scopes: frozenset[str]) -> str:
    return " ".join(sorted(scopes))


def _columns(table: Table, row: Row[Any]) -> dict[str, Any]:
    values = {column.name: row._mapping[column] for column in table.columns}
    if "scopes" in values:
        values["scopes"] = frozenset(values["scopes"].split())
    return values


def _user(row: Row[Any]) -> User:
    return User(**_columns(users, row))


def _key(row: Row[Any]) -> Key:
    return Key(**_columns(api_keys, row))


def _session(row: Row[Any]) -> Session:
    return Session(**_columns(sessions, row))


def _owned_key(row: Row[Any]) -> OwnedKey:
    return OwnedKey(_key(row), frozenset(row.owner_scopes.split()), row.owner_disabled_at is not None)


def _user_values(user: User) -> dict[str, Any]:
    return {column.name: getattr(user, column.name) for column in users.columns} | {
        "scopes": _joined(user.scopes)
    }


def _key_values(key: Key) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in api_keys.columns} | {
        "scopes": _joined(key.scopes)
    }


def _session_values(session: Session) -> dict[str, Any]:
    return {column.name: getattr(session, column.name) for column in sessions.columns}


def _to_cursor(key: Key) -> str:
    return urlsafe_b64encode(f"{key.created_at!r} {key.id}".encode()).decode("ascii").rstrip("=")


def _from_cursor(cursor: str) -> tuple[float, str]:
    try:
        created_at, key_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(" ")
        moment = float(created_at)
    except ValueError:
        moment, key_id = math.nan, ""
    if not math.isfinite(moment):
        raise ValidationFailed({"cursor": "is not a cursor of this list"})
    return moment, key_id
