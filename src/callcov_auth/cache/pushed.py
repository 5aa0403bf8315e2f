"""Revocations by Redis: told as they are committed, and heard by every process that subscribes.

Nothing here is believed. A message can only make a process forget, and look at the store; one that is lost
is found by the poll. So Redis needs no trust, keeps nothing, and may be emptied or lost at any time.
"""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, get_args

import anyio
from anyio import CapacityLimiter, to_thread
from redis import Redis

from callcov_auth.cache.subscription import Subscription
from callcov_auth.events import OnEvent, PushFailed, PushLost, PushRestored, emit
from callcov_auth.redis_pool import redis_pool
from callcov_auth.store.protocol import Change, Target

if TYPE_CHECKING:
    from callcov_auth.cache.feed import Feed

# The longest that a revocation waits for Redis, in seconds.
PUBLISH_TIMEOUT = 0.25
# For how long after a failure no revocation waits for Redis at all, in seconds.
DOWN_FOR = 1.0
# How long connecting and subscribing may take, in seconds.
SUBSCRIBE_TIMEOUT = 1.0
# Between two tries to subscribe, in seconds; at random, so that many processes do not come all at once.
RECONNECT_PAUSE = (0.2, 0.6)
# A longer message is junk; ids and subjects are far shorter.
MAX_MESSAGE_BYTES = 1024

_TARGETS = frozenset(get_args(Target))


class Push:
    """Tells and hears revocations on ``channels``: told on the first, heard on all of them.

    ``timer`` is monotonic, in seconds.
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        *,
        timer: Callable[[], float],
        on_event: OnEvent | None = None,
    ) -> None:
        self._channels = channels
        self._timer = timer
        self._on_event = on_event
        # A connection that the server closed while it was idle is found out by using it: hence two tries.
        self._telling = redis_pool(url, timeout=PUBLISH_TIMEOUT, connections=4, tries=2)
        self._hearing = redis_pool(url, timeout=SUBSCRIBE_TIMEOUT, connections=2, tries=1)
        self._telling_lane = CapacityLimiter(1)
        self._hearing_lane = CapacityLimiter(1)
        self._down_until = float("-inf")
        self._lost = False
        self.subscribed = False
        """Whether messages are heard at the moment, as far as can be known."""

    async def publish(self, change: Change) -> None:
        """Tell the other processes, within PUBLISH_TIMEOUT. What cannot be told is logged, and no error."""
        if self._timer() < self._down_until:
            return
        # Shielded, for a caller that is cancelled now has revoked already.
        with anyio.move_on_after(PUBLISH_TIMEOUT, shield=True) as bound:
            await self._try_to_publish(_message(change))
        if bound.cancelled_caught:
            self._mark_down("TimeoutError")

    async def listen(self, feed: "Feed") -> None:
        """Subscribe, again whenever the connection is lost, as long as the process lives."""
        while True:
            await self._listen_once(feed)
            await anyio.sleep(random.uniform(*RECONNECT_PAUSE))  # noqa: S311 - a pause is no secret

    def close(self) -> None:
        self._telling.disconnect()
        self._hearing.disconnect()

    async def _try_to_publish(self, message: bytes) -> None:
        try:
            # A search in DNS may outlast every time-out of a socket: its thread is then left behind.
            await to_thread.run_sync(self._send, message, abandon_on_cancel=True, limiter=self._telling_lane)
        except Exception as error:
            self._mark_down(type(error).__name__)

    def _send(self, message: bytes) -> None:
        Redis(connection_pool=self._telling).publish(self._channels[0], message)

    def _mark_down(self, reason: str) -> None:
        # By the error's kind alone, for its text may hold an address.
        self._down_until = self._timer() + DOWN_FOR
        emit(PushFailed(reason), self._on_event)

    async def _listen_once(self, feed: "Feed") -> None:
        try:
            subscription = await to_thread.run_sync(
                self._subscribe, abandon_on_cancel=True, limiter=self._hearing_lane
            )
            try:
                await self._attend(subscription, feed)
            finally:
                self.subscribed = False
                subscription.close()
        except Exception as error:
            self._mark_lost(type(error).__name__)

    def _subscribe(self) -> Subscription:
        return Subscription(self._hearing, self._channels, timer=self._timer)

    async def _attend(self, subscription: Subscription, feed: "Feed") -> None:
        # Now that nothing more is missed: what was told to nobody here since the last poll.
        await feed.poll()
        self._mark_restored()
        while True:
            messages = await to_thread.run_sync(subscription.next, limiter=self._hearing_lane)
            changes = {change for change in map(_change, messages) if change is not None}
            if changes:
                feed.hear(changes)

    def _mark_lost(self, reason: str) -> None:
        if not self._lost:
            emit(PushLost(reason), self._on_event)
        self._lost = True

    def _mark_restored(self) -> None:
        if self._lost:
            emit(PushRestored(), self._on_event)
        self._lost = False
        self.subscribed = True


def _message(change: Change) -> bytes:
    return f"{change.target}:{change.id}".encode()


def _change(message: bytes) -> Change | None:
    """Return what a message tells; None for junk."""
    if len(message) > MAX_MESSAGE_BYTES:
        return None
    try:
        target, _, name = message.decode().partition(":")
    except UnicodeDecodeError:
        return None
    return Change(target, name) if target in _TARGETS and name else None  # type: ignore[arg-type]
