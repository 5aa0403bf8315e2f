"""Counters with a window each, for what is limited by rates: in this process, with a bound.

A window is fixed: it begins with the first thing that is counted in it, and ends ``period`` later with all
its counts. A moving one would hold the time of each, could take none of them back, and would tell no
moment at which all are free again; what a fixed one allows beyond the rate is one more ``amount`` where
two windows meet.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from callcov_auth.rates import Rate

# How many names are counted in one process, and as many remembered: about 16 MiB.
MAX_COUNTED = 65_536


class Counters(Protocol):
    """What counts, over one process or over all. It always answers: no login hangs on it."""

    async def take(self, name: str, rate: Rate) -> float:
        """Count one more under ``name`` and return 0.

        Where ``rate`` is used up nothing is counted, and the seconds until the window ends are returned.
        """
        ...

    async def give_back(self, name: str, rate: Rate) -> None:
        """Take back one count that ``take`` made."""
        ...

    async def remember(self, name: str, seconds: int) -> None:
        """Keep ``name`` for so long."""
        ...

    async def remembers(self, name: str) -> bool:
        """Whether ``name`` is kept."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Total:
    """What all processes counted together, in a window that ends in ``left`` seconds."""

    count: int
    left: float


class SharedCounters(Counters, Protocol):
    """What counts over all processes."""

    async def totals(self, counts: Mapping[str, int], period: int) -> Mapping[str, Total]:
        """Add ``counts`` by name, and return what all processes counted. Raises AuthUnavailable."""
        ...


@dataclass(slots=True)
class Window:
    """How much was counted in a window that ends at ``ends_at``, on the timer."""

    count: int
    ends_at: float


class Windows:
    """At most ``size`` windows by name; past it those go that began first, and thus end next.

    Used from one event loop. ``timer`` is monotonic, in seconds.
    """

    # Not the memory of the library limits: that has no bound, reads the wall clock, and starts a thread
    # every few counts, or needs asyncio.

    def __init__(self, size: int, timer: Callable[[], float]) -> None:
        self._size = size
        self._timer = timer
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def find(self, name: str) -> Window | None:
        """Return the window that is open under ``name``."""
        window = self._windows.get(name)
        if window is None or self._timer() < window.ends_at:
            return window
        del self._windows[name]
        return None

    def add(self, name: str, period: float) -> Window:
        """Count one more under ``name``; a window that begins with it is ``period`` seconds long."""
        window = self.find(name)
        if window is None:
            window = self._windows[name] = Window(0, self._timer() + period)
            if len(self._windows) > self._size:
                self._windows.popitem(last=False)
        window.count += 1
        return window

    def left(self, window: Window) -> float:
        """Return in how many seconds ``window`` ends."""
        return window.ends_at - self._timer()


class LocalCounters:
    """Counts in this process alone. What is remembered has room of its own, so that counts push none out."""

    def __init__(self, size: int, timer: Callable[[], float]) -> None:
        self._counts = Windows(size, timer)
        self._kept = Windows(size, timer)

    async def take(self, name: str, rate: Rate) -> float:
        window = self._counts.find(name)
        if window is not None and window.count >= rate.amount:
            return self._counts.left(window)
        self._counts.add(name, rate.period)
        return 0

    async def give_back(self, name: str, rate: Rate) -> None:  # noqa: ARG002
        window = self._counts.find(name)
        if window is not None:
            window.count = max(0, window.count - 1)

    async def remember(self, name: str, seconds: int) -> None:
        self._kept.add(name, seconds)

    async def remembers(self, name: str) -> bool:
        return self._kept.find(name) is not None

    async def aclose(self) -> None:
        """Nothing is held open."""


def whole_seconds(seconds: float) -> int:
    """Return seconds to wait as a header has them: never too few."""
    return max(1, math.ceil(seconds))
