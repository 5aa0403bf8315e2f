"""The statements of the store over SQLAlchemy, built once: making one costs more than sending it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    Column,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from callcov_auth.store.tables import api_keys, audit, revocations, sessions, signing_keys, users

# The most that one poll of the feed reads; past it a cache is emptied rather than picked through.
MAX_CHANGES = 1000

OWNED_KEYS = select(
    api_keys, users.c.scopes.label("owner_scopes"), users.c.disabled_at.label("owner_disabled_at")
).join(users, users.c.id == api_keys.c.owner)
BY_DIGEST = api_keys.c.digest.in_(bindparam("digests", expanding=True))
IS_SALTED = api_keys.c.salted_hash.is_not(None)
BY_PREFIX = and_(IS_SALTED, api_keys.c.key_prefix.in_(bindparam("prefixes", expanding=True)))
KEY_BY_DIGEST = OWNED_KEYS.where(api_keys.c.digest == bindparam("digest"))
KEYS_BY_DIGEST = OWNED_KEYS.where(BY_DIGEST)
KEYS_BY_DIGEST_OR_PREFIX = OWNED_KEYS.where(or_(BY_DIGEST, BY_PREFIX))
KEY_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
USER_BY_ID = select(users).where(users.c.id == bindparam("user_id"))
INSERT_USERS = insert(users)
FIRST_PASSWORD_HASH = select(users.c.password_hash).order_by(users.c.email).limit(1)
PASSWORD_HASH_NEAR = FIRST_PASSWORD_HASH.where(users.c.email >= bindparam("place"))
USER_BY_EMAIL = select(users).where(users.c.email == bindparam("email"))
SESSION_BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))
END_SESSIONS = delete(sessions).where(
    sessions.c.subject == bindparam("owner"), sessions.c.expires_at <= bindparam("now")
)
INSERT_SESSION = insert(sessions)
INSERT_ENTRY = (
    insert(audit)
    .values({column: bindparam(column.name) for column in audit.columns if column is not audit.c.id})
    # Without a RETURNING, for nobody asks which ids they got.
    .inline()
)
WITH_PASSWORD = (
    select(users.c.id)
    .where(
        users.c.id == bindparam("user_id"),
        users.c.password_hash == bindparam("password_hash"),
        users.c.disabled_at.is_(None),
    )
    # Shared, so that the password stays what it is until there is a session for a change to end.
    .with_for_update(read=True)
)
SIGNING_KEYS = select(signing_keys).order_by(signing_keys.c.created_at, signing_keys.c.kid)
NEWEST_SIGNING_KEY = (
    select(signing_keys.c.kid).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid.desc()).limit(1)
)
NEWEST_CHANGE = select(func.coalesce(func.max(revocations.c.id), 0))
CHANGES = (
    select(revocations.c.id, revocations.c.target, revocations.c.target_id)
    .where(revocations.c.id > bindparam("cursor"))
    .order_by(revocations.c.id)
    .limit(MAX_CHANGES + 1)
)


def log_start(after: int, since: float) -> Any:
    """Return the id after which the log is read for what came at ``since`` and later.

    By the ids alone, everything older would be read and passed over, which in a large log takes too long. The
    times do not follow the ids closely enough to look for the first of them, so it is the least of all ids.
    A reader that has come to the first one goes on from there.
    """
    arrived = select(audit.c.id).where(audit.c.id == after, audit.c.at >= since).correlate(None)
    # A sum, or PostgreSQL would look for the least id by the ids.
    least = select(func.min(audit.c.id + 0) - 1).where(audit.c.at >= since, audit.c.id > after)
    return func.coalesce(arrived.scalar_subquery(), least.correlate(None).scalar_subquery())


def gaps(column: Column[Any], values: Sequence[str]) -> list[Any]:
    """Return conditions that hold for whatever is none of ``values``, which are sorted."""
    between = [and_(column > low, column < high) for low, high in pairwise(values)]
    return [column < values[0], *between, column > values[-1]] if values else [column.is_not(None)]


def working(at: float) -> Any:
    return and_(
        api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at)
    )


def retirement(at: float) -> Update:
    later = or_(signing_keys.c.retires_at.is_(None), signing_keys.c.retires_at > at)
    return update(signing_keys).where(later).values(retires_at=at)
