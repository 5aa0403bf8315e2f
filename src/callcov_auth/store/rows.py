"""Rows of the tables ↔ the records of the store, and the cursor of a list."""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Table

from callcov_auth.errors import ValidationFailed
from callcov_auth.store.protocol import Key, OwnedKey, SealedKey, Session, User
from callcov_auth.store.tables import api_keys, sessions, signing_keys, users


def joined_scopes(scopes: frozenset[str]) -> str:
    return " ".join(sorted(scopes))


def joined_times(times: Sequence[float]) -> str:
    return " ".join(map(repr, times))


def _columns(table: Table, row: Row[Any]) -> dict[str, Any]:
    values = {column.name: row._mapping[column] for column in table.columns}
    if "scopes" in values:
        values["scopes"] = frozenset(values["scopes"].split())
    return values


def to_user(row: Row[Any]) -> User:
    return User(**_columns(users, row))


def to_key(row: Row[Any]) -> Key:
    return Key(**_columns(api_keys, row))


def to_session(row: Row[Any]) -> Session:
    values = _columns(sessions, row)
    return Session(**values | {"superseded": tuple(map(float, values["superseded"].split()))})


def to_sealed_key(row: Row[Any]) -> SealedKey:
    return SealedKey(**_columns(signing_keys, row))


def to_owned_key(row: Row[Any]) -> OwnedKey:
    return OwnedKey(to_key(row), frozenset(row.owner_scopes.split()), row.owner_disabled_at is not None)


def user_values(user: User) -> dict[str, Any]:
    return {column.name: getattr(user, column.name) for column in users.columns} | {
        "scopes": joined_scopes(user.scopes)
    }


def key_values(key: Key) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in api_keys.columns} | {
        "scopes": joined_scopes(key.scopes)
    }


def session_values(session: Session) -> dict[str, Any]:
    return {column.name: getattr(session, column.name) for column in sessions.columns} | {
        "superseded": joined_times(session.superseded)
    }


def sealed_values(key: SealedKey) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in signing_keys.columns}


def to_cursor(last: Key | Session) -> str:
    return urlsafe_b64encode(f"{last.created_at!r} {last.id}".encode()).decode("ascii").rstrip("=")


def from_cursor(cursor: str) -> tuple[float, str]:
    try:
        created_at, last_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(" ")
        moment = float(created_at)
    except ValueError:
        moment, last_id = math.nan, ""
    if not math.isfinite(moment):
        raise ValidationFailed({"cursor": "is not a cursor of this list"})
    return moment, last_id
