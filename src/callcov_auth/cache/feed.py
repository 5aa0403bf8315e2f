"""Revocations coming in: at once from this process, from others by a poll of the store, sooner by Redis.

The promise: a revoked credential is refused at once in the process that revoked it, and elsewhere within
``interval`` seconds, or within three intervals while the store cannot be asked. After that the cache is
not trusted, and each request asks the store itself. With Redis it is refused elsewhere within milliseconds;
but trust rests on the poll alone, which goes on as before, so that nothing that befalls Redis breaks the
promise.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import anyio
from anyio import Event, Lock

from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.chores import attempt
from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import FeedLost, FeedRestored, OnEvent, emit
from callcov_auth.store.protocol import Change, Store

if TYPE_CHECKING:
    from callcov_auth.cache.pushed import Push

# How many intervals the cache is trusted after the last good poll, where a background task polls.
TRUSTED_INTERVALS = 3
# The part of an interval that passes between two polls, however many messages ask for one.
CLOSEST_POLLS = 0.25


class Feed:
    """Keeps ``cache`` true to ``store``. ``timer`` is monotonic, in seconds."""

    def __init__(
        self,
        store: Store,
        cache: PrincipalCache,
        *,
        interval: float,
        timer: Callable[[], float],
        push: "Push | None" = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._interval = interval
        self._timer = timer
        self._push = push
        self._on_event = on_event
        self._cursor: int | None = None
        self._lock = Lock()
        self._called = Event()
        self._lost = False
        self.in_background = False

    async def publish(self, change: Change) -> None:
        """Forget in this process what a committed write contradicts, then tell the others over Redis.

        It never fails, and ends within ``pushed.PUBLISH_TIMEOUT``: their polls find what they are not told.
        """
        # Before anything is waited for: a caller that is cancelled here has revoked all the same.
        self._cache.forget(change)
        if self._push is not None:
            await self._push.publish(change)

    def hear(self, changes: Iterable[Change]) -> None:
        """Forget what others say they changed, and look at the store soon. A lie costs a lookup, no more."""
        for change in changes:
            self._cache.forget(change)
        self._called.set()

    def trusts_cache(self, now: float) -> bool:
        """Whether the last good poll is recent enough; ``now`` is on the feed's own timer."""
        return now < self._cache.trusted_until

    async def poll(self) -> None:
        """Apply what other processes changed. A store that does not answer leaves the trust to run out."""
        async with self._lock:
            await self._poll()

    async def keep_polling(self) -> None:
        """Poll once an interval, and sooner when called, as long as the process lives."""
        # An Event belongs to the loop in which it was first waited for, and an Auth may be opened in another.
        self._called = Event()
        started = anyio.current_time()
        while True:
            await self._pause(started)
            started = anyio.current_time()
            # Where it fails, the trust runs out meanwhile, so that nothing stale is served.
            await attempt(self.poll)

    async def catch_up(self) -> bool:
        """Poll if the trust has run out, once for all who ask at the same time. Whether this call polled."""
        if self.trusts_cache(self._timer()):
            return False
        async with self._lock:
            if self.trusts_cache(self._timer()):
                return False
            await self._poll()
            return True

    async def _pause(self, started: float) -> None:
        # Counted from the last poll's start, for one that takes long must not make the interval longer.
        closest = CLOSEST_POLLS * self._interval
        with anyio.CancelScope(deadline=started + self._interval):
            await anyio.sleep_until(started + closest)
            await self._called.wait()
            # What called this process called all others too, and they have the callers' lookups to do first.
            await anyio.sleep(random.uniform(0, closest))  # noqa: S311 - a pause is no secret
        self._called = Event()

    async def _poll(self) -> None:
        asked_at = self._timer()
        try:
            cursor, changes = await self._store.changes_after(self._cursor)
        except AuthUnavailable as error:
            self._mark_lost(error.reason)
            return
        # The first answer tells only where the feed stands: of what changed before it, nothing is known.
        self._apply(None if self._cursor is None else changes)
        self._cursor = cursor
        intervals = TRUSTED_INTERVALS if self.in_background else 1
        self._cache.trusted_until = asked_at + intervals * self._interval
        self._mark_restored()

    def _apply(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            self._cache.forget_all()
            return
        for change in changes:
            self._cache.forget(change)

    def _mark_lost(self, reason: str) -> None:
        if not self._lost:
            emit(FeedLost(reason), self._on_event)
        self._lost = True

    def _mark_restored(self) -> None:
        if self._lost:
            emit(FeedRestored(), self._on_event)
        self._lost = False
