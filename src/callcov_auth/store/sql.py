"""The store over SQLAlchemy Core: one call, one transaction, one hop to a worker thread.

Reads run in autocommit, writes in one transaction. SQLite's takes the one write lock as it begins; where
PostgreSQL would let two pass that must not, the first of them locks a row (FOR UPDATE, which SQLite leaves
out) or holds a named lock.
"""

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from callcov_auth.errors import Conflict, KeyLimitReached
from callcov_auth.events import OnEvent
from callcov_auth.settings import SettingsError
from callcov_auth.store import statements
from callcov_auth.store.database import AUDIT, FEED, MIGRATION, SIGNING_KEYS, Database, hold
from callcov_auth.store.lanes import Lanes
from callcov_auth.store.prepared import Execute, Lookup, Prepared
from callcov_auth.store.protocol import (
    AuditEntry,
    Change,
    Key,
    KeyPage,
    OwnedKey,
    SealedKey,
    Session,
    SessionPage,
    Target,
    User,
)
from callcov_auth.store.rows import (
    audit_values,
    from_cursor,
    joined_scopes,
    joined_times,
    key_values,
    sealed_values,
    session_values,
    to_audit_entry,
    to_cursor,
    to_key,
    to_owned_key,
    to_sealed_key,
    to_session,
    to_user,
    user_values,
)
from callcov_auth.store.schema import bring_up_to_date
from callcov_auth.store.sqlite import sqlite_database
from callcov_auth.store.tables import api_keys, audit, revocations, sessions, signing_keys, users

T = TypeVar("T")
L = TypeVar("L", Key, Session)

# How long a change is told, in seconds: far beyond the longest life of a cached principal (cache_ttl).
CHANGES_KEPT = 86400
# How long a start may take to bring a large database up to date, or wait for another that does, in seconds.
MIGRATION_TIMEOUT = 600.0


class SqlStore:
    """Users, keys, sessions and revocations in SQLite or PostgreSQL.

    ``url`` begins with ``sqlite:`` or ``postgresql:``; ``sqlite://`` is memory. Raises SettingsError for
    one that names neither.
    """

    def __init__(self, url: str, *, auto_migrate: bool = True, on_event: OnEvent | None = None) -> None:
        self._database = _database(url)
        # Where a server tells of no shutdown, nobody calls aclose.
        weakref.finalize(self, self._database.dispose)
        self._auto_migrate = auto_migrate
        self.lanes = Lanes(self._database, on_event=on_event)
        """How whatever else is to be done with the database gets there."""
        dialect = self._database.reading.dialect
        self._key_by_digest = Lookup(statements.KEY_BY_DIGEST, dialect, to_owned_key)
        self._key_by_id = Lookup(statements.KEY_BY_ID, dialect, to_key)
        self._user_by_id = Lookup(statements.USER_BY_ID, dialect, to_user)
        self._user_by_email = Lookup(statements.USER_BY_EMAIL, dialect, to_user)
        self._session_by_id = Lookup(statements.SESSION_BY_ID, dialect, to_session)
        self._changes = Lookup(statements.CHANGES, dialect, tuple)
        self._newest: Lookup[int] = Lookup(statements.NEWEST_CHANGE, dialect, itemgetter(0))
        self._with_password = Prepared(statements.WITH_PASSWORD, dialect)
        self._end_sessions = Prepared(statements.END_SESSIONS, dialect)
        self._insert_session = Prepared(statements.INSERT_SESSION, dialect)
        self._insert_entry = Prepared(statements.INSERT_ENTRY, dialect)

    def __repr__(self) -> str:
        return "SqlStore()"

    @property
    def file(self) -> str | None:
        """The database's file; None where it is in memory or on a server."""
        return self._database.file

    async def open(self) -> None:
        def work(connection: Connection) -> None:
            # Of many processes that start at once, one migrates and the others wait for it.
            hold(connection, MIGRATION)
            bring_up_to_date(connection, migrate=self._auto_migrate)

        await self.lanes.aside(self._database.prepare)
        await self._write(work, seconds=MIGRATION_TIMEOUT)

    async def aclose(self) -> None:
        await self.lanes.aside(self._database.dispose)

    async def only_reads(self) -> bool:
        """Whether PostgreSQL refuses writes: a replica, a fail-over half way, or a setting."""
        if self._database.reading.dialect.name != "postgresql":
            return False
        return await self.lanes.read(
            lambda connection: connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on"
        )

    async def add_user(self, user: User) -> None:
        await self.add_users([user])

    async def add_users(self, users: Sequence[User]) -> None:
        if users:
            values = [user_values(user) for user in users]
            await self._write(lambda connection: connection.execute(statements.INSERT_USERS, values))

    async def user(self, user_id: str) -> User | None:
        return await self._first(self._user_by_id, user_id=user_id)

    async def user_by_email(self, email: str) -> User | None:
        return await self._first(self._user_by_email, email=email)

    async def users(self) -> Sequence[User]:
        statement = select(users).order_by(users.c.created_at, users.c.id)
        return await self._read(lambda connection: [to_user(row) for row in connection.execute(statement)])

    async def users_named(self, names: Collection[str]) -> Sequence[User]:
        named = or_(users.c.id.in_(list(names)), users.c.email.in_(list(names)))
        statement = select(users).where(named)
        return await self._read(lambda connection: [to_user(row) for row in connection.execute(statement)])

    async def password_hash_near(self, place: str) -> str | None:
        return await self._read(lambda connection: _password_hash_near(connection, place))

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
            found = _update_user(connection, user_id, scopes=joined_scopes(scopes))
            return found and _tell(connection, "user", user_id, at)

        return await self._write(work)

    async def disable_user(self, user_id: str, *, at: float) -> bool:
        def work(connection: Connection) -> bool:
            found = _update_user(connection, user_id, disabled_at=func.coalesce(users.c.disabled_at, at))
            return found and _revoke_sessions_of(connection, user_id, at)

        return await self._write(work)

    async def enable_user(self, user_id: str, *, at: float) -> bool:
        def work(connection: Connection) -> bool:
            found = _update_user(connection, user_id, disabled_at=None)
            return found and _tell(connection, "user", user_id, at)

        return await self._write(work)

    async def add_key(self, key: Key, *, max_active: int) -> None:
        await self._write(lambda connection: _insert_key(connection, key, max_active))

    async def add_keys(self, keys: Sequence[Key]) -> None:
        if keys:
            values = [key_values(key) for key in keys]
            await self._write(lambda connection: connection.execute(insert(api_keys), values))

    async def working_keys(self, owners: Collection[str], *, at: float) -> Mapping[str, int]:
        return await self._read(lambda connection: _working_keys(connection, owners, at))

    async def keys_by_digest(
        self, digests: Collection[bytes], salted_prefixes: Collection[str] = ()
    ) -> Sequence[OwnedKey]:
        if len(digests) == 1 and not salted_prefixes:
            (digest,) = digests
            return await self.lanes.look_up(self._key_by_digest, {"digest": digest})
        values: dict[str, list[Any]] = {"digests": list(digests)}
        statement = statements.KEYS_BY_DIGEST
        if salted_prefixes:
            statement, values["prefixes"] = statements.KEYS_BY_DIGEST_OR_PREFIX, list(salted_prefixes)
        return await self._read(
            lambda connection: [to_owned_key(row) for row in connection.execute(statement, values)]
        )

    async def key(self, key_id: str) -> Key | None:
        return await self._first(self._key_by_id, key_id=key_id)

    async def keys(
        self, owner: str | None, *, at: float, include_expired: bool, limit: int, cursor: str | None
    ) -> KeyPage:
        listed = api_keys.c.owner == owner if owner is not None else api_keys.c.owner.is_not(None)
        if not include_expired:
            listed = and_(listed, statements.working(at))
        return KeyPage(*await self._page(api_keys, listed, to_key, limit, cursor))

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
            alive = select(api_keys.c.id).where(api_keys.c.id == key_id, statements.working(new.created_at))
            if connection.execute(alive.with_for_update()).first() is None:
                raise Conflict("The API key works no more, so it cannot be rotated", reason="key_ended")
            _insert_key(connection, new, max_active)
            earlier = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > ends_at)
            lifetime = func.coalesce(
                api_keys.c.rotated_lifetime, api_keys.c.expires_at - api_keys.c.created_at, 0.0
            )
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, earlier)
                .values(expires_at=ends_at, rotated_lifetime=lifetime)
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
        # In one order for all, so that two processes never wait for each other.
        rows = [{"key_id": key_id, "used_at": used_at} for key_id, used_at in sorted(last_used.items())]
        await self._write(lambda connection: connection.execute(statement, rows))

    async def move_key(self, key: Key, *, old: bytes) -> None:
        unmoved = and_(api_keys.c.id == key.id, api_keys.c.digest == old)
        statement = (
            update(api_keys)
            .where(unmoved)
            .values(digest=key.digest, pepper_id=key.pepper_id, mac_id=key.mac_id, salted_hash=None)
        )
        await self._write(lambda connection: connection.execute(statement))

    async def has_foreign_keys(self, mac_ids: Collection[str]) -> bool:
        # By the indexes, however many keys there are: those that are in none of the gaps are known. A MAC
        # without a name is of a time before there were names, and of the pepper in force.
        foreign = [api_keys.c.imported, *statements.gaps(api_keys.c.mac_id, sorted(mac_ids))]
        statement = select(or_(*(exists().where(part) for part in foreign)))
        return await self._read(lambda connection: bool(connection.execute(statement).scalar_one()))

    async def has_imported_keys(self) -> bool:
        # By the index: it is asked again and again.
        statement = select(api_keys.c.id).where(api_keys.c.origin > b"").limit(1)
        return await self._read(lambda connection: connection.execute(statement).first() is not None)

    async def stored_digests(self, digests: Collection[bytes]) -> Collection[bytes]:
        columns = (api_keys.c.digest, api_keys.c.origin)
        stored = union_all(*(select(column).where(column.in_(list(digests))) for column in columns))
        return await self._read(lambda connection: set(connection.execute(stored).scalars()))

    async def salted_prefixes(self) -> Mapping[str, int]:
        statement = select(api_keys.c.key_prefix, func.count()).where(statements.IS_SALTED)
        grouped = statement.group_by(api_keys.c.key_prefix)
        return await self._read(lambda connection: _pairs(connection, grouped))

    async def add_session(self, session: Session, *, password_hash: str | None = None) -> bool:
        def work(execute: Execute) -> bool:
            if password_hash is not None:
                wanted = {"user_id": session.subject, "password_hash": password_hash}
                if execute(self._with_password, wanted).fetchone() is None:
                    return False
            execute(self._end_sessions, {"owner": session.subject, "now": session.created_at})
            execute(self._insert_session, session_values(session))
            return True

        return await self.lanes.write_prepared(work)

    async def session(self, session_id: str) -> Session | None:
        return await self._first(self._session_by_id, session_id=session_id)

    async def sessions(self, subject: str, *, at: float, limit: int, cursor: str | None) -> SessionPage:
        alive = and_(
            sessions.c.subject == subject, sessions.c.revoked_at.is_(None), sessions.c.expires_at > at
        )
        return SessionPage(*await self._page(sessions, alive, to_session, limit, cursor))

    async def advance_session(self, session_id: str, *, generation: int, superseded: Sequence[float]) -> bool:
        newest = and_(
            sessions.c.id == session_id, sessions.c.generation == generation, sessions.c.revoked_at.is_(None)
        )
        statement = (
            update(sessions)
            .where(newest)
            .values(generation=generation + 1, superseded=joined_times(superseded))
        )
        return await self._write(lambda connection: connection.execute(statement).rowcount == 1)

    async def revoke_session(self, session_id: str, *, at: float) -> None:
        def work(connection: Connection) -> None:
            connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id)
                .values(revoked_at=func.coalesce(sessions.c.revoked_at, at))
            )
            _tell(connection, "session", session_id, at)

        await self._write(work)

    async def revoke_sessions(self, subject: str, *, at: float) -> None:
        await self._write(lambda connection: _revoke_sessions_of(connection, subject, at))

    async def signing_keys(self) -> Sequence[SealedKey]:
        return await self._read(
            lambda connection: [to_sealed_key(row) for row in connection.execute(statements.SIGNING_KEYS)]
        )

    async def add_signing_key(self, key: SealedKey, *, retiring: float, only_if_newest: str | None) -> bool:
        def work(connection: Connection) -> bool:
            hold(connection, SIGNING_KEYS)
            if connection.execute(statements.NEWEST_SIGNING_KEY).scalar() != only_if_newest:
                return False
            retired = signing_keys.c.retires_at <= key.created_at
            connection.execute(delete(signing_keys).where(retired))
            connection.execute(statements.retirement(retiring))
            connection.execute(insert(signing_keys), [sealed_values(key)])
            return True

        return await self._write(work)

    async def retire_signing_key(self, kid: str, *, at: float) -> None:
        statement = statements.retirement(at).where(signing_keys.c.kid == kid)
        await self._write(lambda connection: connection.execute(statement))

    async def changes_after(self, cursor: int | None) -> tuple[int, Sequence[Change] | None]:
        # Alone, for it is asked every second and there is seldom more to tell.
        newest = await self._newest_change()
        if cursor is None or newest == cursor:
            return newest, []
        # A database that was set back, as by a backup or a fail-over, is another one.
        if newest < cursor:
            return newest, None
        rows = await self.lanes.look_up(self._changes, {"cursor": cursor})
        if not rows or len(rows) > statements.MAX_CHANGES:
            return newest, None
        return rows[-1][0], [Change(target, target_id) for _, target, target_id in rows]

    async def _newest_change(self) -> int:
        (newest,) = await self.lanes.look_up(self._newest, {})
        return newest

    async def add_audit_entries(self, entries: Sequence[AuditEntry]) -> None:
        def work(connection: Connection) -> None:
            rows = list(map(audit_values, entries))
            # As for the feed: a reader's cursor must not pass over an id that is committed later.
            hold(connection, AUDIT)
            self._insert_entry.for_each(rows, connection)

        if entries:
            await self._write(work)

    async def audit_entries(
        self,
        *,
        after: int | None = None,
        key_id: str | None = None,
        subject: str | None = None,
        since: float | None = None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        whole_log = key_id is None and subject is None
        start = (
            statements.log_start(after, since)
            if after is not None and since is not None and whole_log
            else after
        )
        wanted = [
            *([] if start is None else [audit.c.id > start]),
            *([] if key_id is None else [audit.c.key_id == key_id]),
            *([] if subject is None else [audit.c.subject == subject]),
            *([] if since is None else [audit.c.at >= since]),
        ]
        order = audit.c.id.desc() if after is None else audit.c.id
        page = select(audit).where(*wanted).order_by(order).limit(limit)
        found = await self._read(lambda connection: [to_audit_entry(row) for row in connection.execute(page)])
        return found[::-1] if after is None else found

    async def delete_audit_entries(self, before: float, *, limit: int) -> int:
        oldest = select(audit.c.id).where(audit.c.at < before).order_by(audit.c.at).limit(limit)

        def work(connection: Connection) -> int:
            # One process at a time, for others would wait for the same rows.
            hold(connection, AUDIT)
            return connection.execute(delete(audit).where(audit.c.id.in_(oldest))).rowcount

        return await self._write(work)

    async def _first(self, lookup: Lookup[T], **values: str) -> T | None:
        # NUL is in no text that is stored, and PostgreSQL does not even compare it.
        if any("\0" in value for value in values.values()):
            return None
        found = await self.lanes.look_up(lookup, values)
        return found[0] if found else None

    async def _page(
        self, table: Table, listed: Any, to: Callable[[Row[Any]], L], limit: int, cursor: str | None
    ) -> tuple[list[L], int, str | None]:
        """Return a page of ``listed``, newest first, how many there are in all, and the cursor behind it."""
        page = select(table).where(listed)
        if cursor is not None:
            page = page.where(tuple_(table.c.created_at, table.c.id) < tuple_(*from_cursor(cursor)))
        page = page.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)

        def work(connection: Connection) -> tuple[list[L], int, str | None]:
            found = [to(row) for row in connection.execute(page)]
            total = connection.execute(select(func.count()).select_from(table).where(listed)).scalar_one()
            return found[:limit], total, to_cursor(found[limit - 1]) if len(found) > limit else None

        return await self._read(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self.lanes.read(work)

    async def _write(self, work: Callable[[Connection], T], *, seconds: float | None = None) -> T:
        return await self.lanes.write(work, seconds=seconds)


def _database(url: str) -> Database:
    if url.startswith("sqlite"):
        return sqlite_database(url)
    try:
        # Here, because psycopg is an extra.
        from callcov_auth.store.postgres import postgres_database
    except ImportError as error:
        raise SettingsError(f"CALLCOV_AUTH_DATABASE_URL: {error}") from None
    return postgres_database(url)


def _password_hash_near(connection: Connection, place: str) -> str | None:
    found = connection.execute(statements.PASSWORD_HASH_NEAR, {"place": place}).scalar()
    return connection.execute(statements.FIRST_PASSWORD_HASH).scalar() if found is None else found


def _working_keys(connection: Connection, owners: Collection[str], at: float) -> dict[str, int]:
    statement = select(api_keys.c.owner, func.count()).where(
        api_keys.c.owner.in_(list(owners)), statements.working(at)
    )
    return _pairs(connection, statement.group_by(api_keys.c.owner))


def _pairs(connection: Connection, statement: Any) -> dict[Any, Any]:
    return {row[0]: row[1] for row in connection.execute(statement)}


def _insert_key(connection: Connection, key: Key, max_active: int) -> None:
    # One at a time for each owner, or two would count the same keys. (NO KEY: others may refer to the row.)
    owner = select(users.c.id).where(users.c.id == key.owner)
    connection.execute(owner.with_for_update(key_share=True))
    if _working_keys(connection, [key.owner], key.created_at).get(key.owner, 0) >= max_active:
        raise KeyLimitReached()
    connection.execute(insert(api_keys), [key_values(key)])


def _update_user(connection: Connection, user_id: str, **values: Any) -> bool:
    return connection.execute(update(users).where(users.c.id == user_id).values(**values)).rowcount == 1


def _revoke_sessions_of(connection: Connection, user_id: str, at: float) -> bool:
    alive = and_(sessions.c.subject == user_id, sessions.c.revoked_at.is_(None))
    connection.execute(update(sessions).where(alive).values(revoked_at=at))
    return _tell(connection, "user", user_id, at)


def _tell(connection: Connection, target: Target, target_id: str, at: float) -> bool:
    # Until the commit: were ids committed out of order, a reader's cursor would pass over the later one.
    hold(connection, FEED)
    connection.execute(delete(revocations).where(revocations.c.at < at - CHANGES_KEPT))
    connection.execute(insert(revocations), [{"target": target, "target_id": target_id, "at": at}])
    return True
