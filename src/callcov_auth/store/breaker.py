"""A circuit breaker: a dead store is asked now and then, and not by everybody who comes."""

from collections.abc import Callable
from threading import Lock

from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import OnEvent, StoreLost, StoreRestored, emit

# How many failures in a row say that the store is dead.
FAILURES = 3
# How often one call is let through to a dead store, in seconds; the others are refused at once.
PROBE_PERIOD = 0.5


class Breaker:
    """Counts failures in a row, from any thread. ``timer`` is monotonic, in seconds.

    A probe is let through in each period, also where the one before has not come back: it may hang on a
    connection that is dead, while a new one would be served.
    """

    def __init__(self, what: str, *, timer: Callable[[], float], on_event: OnEvent | None = None) -> None:
        self._what = what
        self._timer = timer
        self._on_event = on_event
        self._lock = Lock()
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    def refuse(self) -> None:
        """Raises AuthUnavailable where no probe is due, so that nobody waits in a queue for a refusal."""
        if self.is_open and self._timer() < self._next_probe:
            raise AuthUnavailable(reason="store_down")

    def enter(self) -> None:
        """Begin a call. Raises AuthUnavailable; where a probe is due, this call is the one."""
        if not self.is_open:
            return
        with self._lock:
            self.refuse()
            self._next_probe = self._timer() + PROBE_PERIOD

    def succeeded(self) -> None:
        if self._failures == 0:
            return
        with self._lock:
            was_open, self._failures = self.is_open, 0
        if was_open:
            emit(StoreRestored(self._what), self._on_event)

    def failed(self, reason: str) -> None:
        with self._lock:
            self._failures += 1
            opens = self._failures == FAILURES
            if opens:
                self._next_probe = self._timer() + PROBE_PERIOD
        if opens:
            emit(StoreLost(self._what, reason), self._on_event)
