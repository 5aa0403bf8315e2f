"""Databases, with keys and without, for benchmarks whose processes share them."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from callcov_auth import Auth, AuthSettings

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

DATABASES = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Site:
    """The keys of a run as headers, those that will end apart, and what every process on it is set to."""

    settings: dict[str, Any] = field(repr=False)
    ending: Sequence[str] = field(repr=False)
    key_ids: Sequence[str]
    regulars: Sequence[str] = field(repr=False)


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Give the URL of an empty database of one of DATABASES; a server is started for it, and ended."""
    if kind == "sqlite":
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/auth.db"
    else:
        from tests.support.postgres_server import running_postgres

        with running_postgres() as server, server.database() as url:
            yield url


def settings_for(folder: Path, redis_url: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "secret": secrets.token_urlsafe(48),
        "database_url": f"sqlite:///{folder / 'fleet.db'}",
        "redis_url": redis_url,
        "cache_ttl": 3600,
        "max_active_keys": 10_000,
        "password_time_cost": 1,
        "password_memory_kib": 8,
        **changes,
    }


async def make_site(settings: dict[str, Any], ending: int, regulars: int) -> Site:
    async with Auth(AuthSettings(_env_file=None, **settings)) as auth:
        owner = await auth.users.create("owner@example.com", secrets.token_urlsafe(16))
        made = [await auth.keys.create(owner.id, name=f"{number}") for number in range(ending + regulars)]
    headers = [f"Bearer {key.api_key.get_secret_value()}" for key in made]
    return Site(settings, headers[:ending], [key.id for key in made[:ending]], headers[ending:])


@contextmanager
def redis_server(folder: Path) -> Iterator["RedisServer"]:
    """Run a Redis of its own, from the package that the tests' extra brings."""
    from tests.support.redis_server import RedisServer

    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
