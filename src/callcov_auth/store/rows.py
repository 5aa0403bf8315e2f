"""Rows of the tables ↔ the records of the store, and the cursor of a list."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Table

from callcov_auth import base64url
from callcov_auth.errors import ValidationFailed
from callcov_auth.store.protocol import AuditEntry, Key, OwnedKey, SealedKey, Session, User
from callcov_auth.store.tables import api_keys, audit, sessions, signing_keys, users


def joined_scopes(scopes: frozenset[str]) -> str:
    return " ".join(sorted(scopes))


# Many keys have the scopes of a few, which are then held in memory once.
@lru_cache(maxsize=1024)
def split_scopes(scopes: str) -> frozenset[str]:
    return frozenset(scopes.split())


def joined_times(times: Sequence[float]) -> str:
    return " ".join(map(repr, times))


# The columns of a table stand in the order of its record's fields, so a row is read by position: by name it
# would take longer than the query.
_KEY_COLUMNS = len(api_keys.columns)
_KEY_SCOPES = list(api_keys.columns).index(api_keys.c.scopes)
_KEY_IMPORTED = list(api_keys.columns).index(api_keys.c.imported)
_SUPERSEDED = list(sessions.columns).index(sessions.c.superseded)
_USER_SCOPES = list(users.columns).index(users.c.scopes)


def _with_scopes(row: Sequence[Any], at: int) -> list[Any]:
    values = list(row)
    values[at] = split_scopes(values[at])
    return values


def to_user(row: Sequence[Any]) -> User:
    return User(*_with_scopes(row, _USER_SCOPES))


def to_key(row: Sequence[Any]) -> Key:
    values = _with_scopes(row[:_KEY_COLUMNS], _KEY_SCOPES)
    # SQLite's driver knows no truth values.
    values[_KEY_IMPORTED] = bool(values[_KEY_IMPORTED])
    return Key(*values)


def to_owned_key(row: Sequence[Any]) -> OwnedKey:
    """Read a key's columns, then its owner's scopes, and when the owner was disabled."""
    owner_scopes, owner_disabled_at = row[_KEY_COLUMNS:]
    return OwnedKey(to_key(row), split_scopes(owner_scopes), owner_disabled_at is not None)


def to_session(row: Sequence[Any]) -> Session:
    values = list(row)
    values[_SUPERSEDED] = tuple(map(float, values[_SUPERSEDED].split()))
    return Session(*values)


def to_sealed_key(row: Sequence[Any]) -> SealedKey:
    return SealedKey(*row)


def to_audit_entry(row: Sequence[Any]) -> AuditEntry:
    # The id stands first in a row, and last in a record, which has none until it is stored.
    return AuditEntry(*(*row[1:], row[0]))


def _read_by(table: Table, *left_out: str) -> Callable[[Any], dict[str, Any]]:
    """Return what reads a record's fields by the names of the table's columns, which are found once."""
    names = [column.name for column in table.columns if column.name not in left_out]
    fields = attrgetter(*names)
    return lambda record: dict(zip(names, fields(record), strict=True))


_user, _key, _session = _read_by(users), _read_by(api_keys), _read_by(sessions)

sealed_values: Callable[[SealedKey], dict[str, Any]] = _read_by(signing_keys)
audit_values: Callable[[AuditEntry], dict[str, Any]] = _read_by(audit, "id")


def user_values(user: User) -> dict[str, Any]:
    return _user(user) | {"scopes": joined_scopes(user.scopes)}


def key_values(key: Key) -> dict[str, Any]:
    return _key(key) | {"scopes": joined_scopes(key.scopes)}


def session_values(session: Session) -> dict[str, Any]:
    return _session(session) | {"superseded": joined_times(session.superseded)}


def to_cursor(last: Key | Session) -> str:
    return base64url.encode(f"{last.created_at!r} {last.id}".encode())


def from_cursor(cursor: str) -> tuple[float, str]:
    try:
        created_at, last_id = base64url.decode(cursor).decode("ascii").split(" ")
        moment = float(created_at)
    except ValueError:
        moment, last_id = math.nan, ""
    if not math.isfinite(moment) or not last_id.isprintable():
        raise ValidationFailed({"cursor": "is not a cursor of this list"})
    return moment, last_id
