"""Connections to the Redis that ``redis_url`` names. Redis is optional, and so is the package."""

from contextlib import suppress
from typing import Any

from callcov_auth.settings import SettingsError

try:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.connection import ConnectionPool, parse_url
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError("Redis is reached through redis-py: pip install 'callcov-auth[redis]'") from error

# How long ``ping`` waits for each thing, in seconds.
PING_TIMEOUT = 3.0


def redis_pool(url: str, *, timeout: float, connections: int, tries: int) -> ConnectionPool:
    """Return a pool that connects when it is used. Connecting, and each answer, takes ``timeout`` at most.

    A connection that is found broken is tried ``tries`` times in all; a time-out is never tried again.
    Raises SettingsError for an option in the URL that redis-py does not know.
    """
    bounds: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), tries - 1, supported_errors=(RedisConnectionError,)),
        "retry_on_timeout": False,
        # In which a subscriber's connection is a plain stream of messages, in every version of Redis.
        "protocol": 2,
    }
    with suppress(TypeError, ValueError):
        # Ours last, so that no option of the URL lengthens a wait.
        options = parse_url(url) | bounds  # type: ignore[no-untyped-call]
        pool = ConnectionPool(max_connections=connections, **options)
        # One that is never used shows whether all options are known.
        pool.connection_class(**pool.connection_kwargs)
        return pool
    # Outside the handler, so that an error which holds a value is not kept as its context.
    raise SettingsError("CALLCOV_AUTH_REDIS_URL: redis-py knows no such option as stands after its '?'")


def ping(url: str) -> None:
    """Return when the server answers. Raises redis-py's errors, and as ``redis_pool`` does."""
    pool = redis_pool(url, timeout=PING_TIMEOUT, connections=1, tries=1)
    try:
        Redis(connection_pool=pool).ping()
    finally:
        pool.disconnect()
