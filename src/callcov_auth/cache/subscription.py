"""One subscription to Redis, whose calls block: each is one hop to a worker thread."""

from collections.abc import Callable, Sequence

from redis import Redis
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

# The longest that ``next`` waits for a message, in seconds; so long may a shutdown wait for it.
TICK = 0.25
# How often the server is asked for a sign of life, and after how long without one it is given up, in seconds.
PING_INTERVAL = 1.0
MAX_SILENCE = 3.0
# The most messages that one hop brings; the next one brings the rest.
MAX_MESSAGES = 1000


class Subscription:
    """Hears ``channels`` from when it is made, until a call raises. ``timer`` is monotonic, in seconds.

    Raises redis-py's errors. It never connects anew by itself: what was said meanwhile would go unmissed.
    """

    def __init__(self, pool: ConnectionPool, channels: Sequence[str], *, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._pubsub = Redis(connection_pool=pool).pubsub()  # type: ignore[no-untyped-call]
        try:
            self._pubsub.subscribe(*channels)
            self._await_confirmations(len(channels), pool.connection_kwargs["socket_timeout"])
        except BaseException:
            self._pubsub.close()
            raise
        self._heard_at = self._pinged_at = timer()

    def next(self) -> list[bytes]:
        """Wait up to TICK for messages, and return those that are there."""
        self._ping_when_due()
        messages: list[bytes] = []
        wait = TICK
        while len(messages) < MAX_MESSAGES and (said := self._pubsub.get_message(timeout=wait)) is not None:
            self._heard_at = self._timer()
            if said["type"] == "subscribe":
                raise RedisConnectionError("the connection was lost and made again")
            if said["type"] == "message":
                messages.append(said["data"])
            wait = 0
        return messages

    def close(self) -> None:
        self._pubsub.close()

    def _await_confirmations(self, count: int, timeout: float) -> None:
        for _ in range(count):
            if self._pubsub.get_message(timeout=timeout) is None:
                raise RedisTimeoutError("the subscription is not confirmed")

    def _ping_when_due(self) -> None:
        now = self._timer()
        # A connection that is half open takes what is sent, and is silent.
        if now - self._heard_at > MAX_SILENCE:
            raise RedisTimeoutError("nothing is heard")
        if now - self._pinged_at >= PING_INTERVAL:
            self._pinged_at = now
            self._pubsub.ping()
