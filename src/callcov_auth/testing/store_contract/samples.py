"""Records to store. Only what a promise is about is named where they are made."""

import hashlib
from typing import Any

from callcov_auth.store.protocol import Key, Session, Store, User

NOW = 1_800_000_000.0
NO_LIMIT = 1_000


def make_user(user_id: str = "usr_1", **changes: Any) -> User:
    values: dict[str, Any] = {
        "id": user_id,
        "email": f"{user_id}@example.com",
        "password_hash": f"$argon2id$of-{user_id}",
        "scopes": frozenset({"calls:read", "calls:write"}),
        "created_at": NOW,
    }
    return User(**values | changes)


def make_key(key_id: str = "key_1", **changes: Any) -> Key:
    values: dict[str, Any] = {
        "id": key_id,
        "owner": "usr_1",
        "name": "Server",
        "description": None,
        "digest": hashlib.sha256(key_id.encode()).digest(),
        "key_prefix": "sk_live_abc123",
        "environment": "live",
        "segment": None,
        "scopes": frozenset({"calls:read"}),
        "created_at": NOW,
    }
    return Key(**values | changes)


def make_session(session_id: str = "ses_1", **changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": session_id,
        "subject": "usr_1",
        "created_at": NOW,
        "expires_at": NOW + 3600,
    }
    return Session(**values | changes)


async def with_user(store: Store, *user_ids: str) -> None:
    """Store the users that own what a promise is about; with none named, ``usr_1``."""
    for user_id in user_ids or ("usr_1",):
        await store.add_user(make_user(user_id))


async def with_keys(store: Store, *keys: Key) -> None:
    for key in keys:
        await store.add_key(key, max_active=NO_LIMIT)
