"""When keys were last used, written in batches beside the answers."""

from collections.abc import Callable

from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import LastUseLost, OnEvent, emit
from callcov_auth.store.protocol import Store

MAX_PENDING = 10_000
# At most one write a key in so many seconds.
PERIOD = 60.0


class LastUse:
    """Collects uses; ``flush`` writes them. A store that is down delays them; past a bound they are lost."""

    def __init__(self, store: Store, *, timer: Callable[[], float], on_event: OnEvent | None = None) -> None:
        self._store = store
        self._on_event = on_event
        self._pending: dict[str, float] = {}
        self._timer = timer
        # Until when a key's next use is of no interest, in the order of these times.
        self._noted: dict[str, float] = {}
        self.lost = 0

    def note(self, key_id: str, at: float) -> None:
        now = self._timer()
        if now < self._noted.get(key_id, now):
            return
        if len(self._pending) >= MAX_PENDING:
            self.lost += 1
            return
        self._pending[key_id] = at
        self._noted.pop(key_id, None)
        self._noted[key_id] = now + PERIOD
        if len(self._noted) > MAX_PENDING:
            del self._noted[next(iter(self._noted))]

    async def flush(self) -> None:
        if not self._pending:
            return
        batch, self._pending = self._pending, {}
        try:
            await self._store.touch_keys(batch)
        except BaseException as error:
            # Whatever it was, a cancellation too: nothing is known to be written, so it is tried again.
            self._pending = batch | self._pending
            if not isinstance(error, AuthUnavailable):
                raise

    def give_up(self) -> None:
        """Count what could not be written; called once, when nothing will be written any more."""
        self.lost += len(self._pending)
        if self.lost:
            emit(LastUseLost(self.lost), self._on_event)
