"""Stores for benchmarks: one that counts, and a database file filled faster than the package would."""

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import insert
from sqlalchemy.dialects.sqlite import dialect

from benchmarks.peers.ours import SCOPES, memory_settings
from callcov_auth import Auth, AuthSettings
from callcov_auth.keys.foreign import pepper_id
from callcov_auth.keys.format import PREFIX_LENGTH, digest, mint
from callcov_auth.store.protocol import Key, Store
from callcov_auth.store.rows import key_values
from callcov_auth.store.tables import api_keys

# How many of a file's keys are known as text, to be sent.
MOST_KNOWN = 1_000
# What asks for a credential; all else that a store is asked is background work or another route's.
LOOKUP = "keys_by_digest"
# Those that found nothing. A good key is asked for too, where a machine stalls until the trust runs out.
IN_VAIN = f"{LOOKUP} in vain"


class Counting:
    """A store that counts the calls of each of its methods, and the lookups that found nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def counted(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            found = await method(*arguments, **named)
            if name == LOOKUP and not found:
                self.calls[IN_VAIN] += 1
            return found

        return counted

    @property
    def lookups(self) -> int:
        return self.calls[LOOKUP]


def counted(settings: AuthSettings) -> tuple[Auth, Counting]:
    """Return an Auth that is yet to be opened, and the store that counts what it asks for."""
    store = Counting(Auth(settings).store)
    return Auth(settings, store=cast(Store, store)), store


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A database file with keys, of which ``keys`` are known as text."""

    settings: AuthSettings
    path: Path
    keys: Sequence[str] = field(repr=False)


async def key_file(path: Path, count: int, **changes: Any) -> KeyFile:
    """Make a file with ``count`` keys of one user. ``changes`` are settings."""
    settings = memory_settings(database_url=f"sqlite:///{path}", **changes)
    async with Auth(settings) as auth:
        user = await auth.users.create("owner@example.com", secrets.token_urlsafe(16), scopes=SCOPES)
    keys = [mint(settings.key_mac_key, "live") for _ in range(min(count, MOST_KNOWN))]
    insert_keys(path, rows(settings, user.id, keys, count))
    return KeyFile(settings, path, keys)


def rows(settings: AuthSettings, owner: str, keys: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    """Yield ``count`` rows: those of ``keys``, and others with digests that nobody has the keys of."""
    name = pepper_id(settings.pepper_key)
    same = key_values(
        Key(
            id="",
            owner=owner,
            name="benchmark",
            description=None,
            digest=b"",
            key_prefix=keys[0][:PREFIX_LENGTH],
            environment="live",
            segment=None,
            scopes=frozenset(SCOPES),
            created_at=time.time(),
            pepper_id=name,
            mac_id=name,
        )
    )
    digests = [digest(settings.pepper_key, key) for key in keys]
    for number, found in enumerate((*digests, *others(count - len(digests)))):
        yield {**same, "id": f"key_{number:024x}", "digest": found}


def others(count: int) -> Iterator[bytes]:
    """Yield random digests in ascending order, in which an index is written fastest."""
    step = 2**64 // max(1, count)
    for number in range(count):
        yield (number * step).to_bytes(8) + secrets.token_bytes(24)


def insert_keys(path: Path, values: Iterator[dict[str, Any]]) -> None:
    statement = insert(api_keys).compile(dialect=dialect(paramstyle="named"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # A file that a crash may spoil is made again.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.executemany(str(statement), values)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
