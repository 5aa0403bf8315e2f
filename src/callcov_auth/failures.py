"""Refused credentials by the address that sent them: who guesses is refused unread, for a while."""

from collections.abc import Callable

from callcov_auth.counting import SharedCounters, Window, Windows, whole_seconds
from callcov_auth.errors import RateLimited
from callcov_auth.rates import Rate

# How many addresses are counted at once: about 16 MiB.
MAX_ADDRESSES = 65_536
# How many of them are told to the other processes each time; the others' counts stay here.
MAX_SHARED = 1_000


class Failures:
    """Counts refusals by address. ``timer`` is monotonic, in seconds.

    What it costs is felt by each refusal, and by nothing else: see ``Gate.admit``.
    """

    def __init__(self, rate: Rate, timer: Callable[[], float]) -> None:
        self._rate = rate
        self._timer = timer
        self._windows = Windows(MAX_ADDRESSES, timer)
        self._quiet_at = float("-inf")
        self._unshared: dict[str, int] = {}
        self.are_quiet = True
        """Whether no address has used its rate up, so that nobody need be looked for."""

    def __len__(self) -> int:
        return len(self._windows)

    def note(self, address: str) -> None:
        """Count one refusal."""
        self._heed(self._windows.add(address, self._rate.period))
        if address in self._unshared or len(self._unshared) < MAX_SHARED:
            self._unshared[address] = self._unshared.get(address, 0) + 1

    def refuse(self, address: str) -> None:
        """Raises RateLimited where the rate of ``address`` is used up."""
        if self._timer() >= self._quiet_at:
            self.are_quiet = True
            return
        window = self._windows.find(address)
        if window is not None and window.count >= self._rate.amount:
            reset = whole_seconds(self._windows.left(window))
            raise RateLimited(limit=self._rate.amount, remaining=0, reset=reset, reason="failure_rate")

    async def share(self, counters: SharedCounters) -> None:
        """Tell the other processes what was counted here, and take over what all counted.

        In batches and beside the requests, for none of them waits for a network. What cannot be told is
        lost to the others, and counts here on. Raises AuthUnavailable.
        """
        counts, self._unshared = self._unshared, {}
        if not counts:
            return
        totals = await counters.totals(counts, self._rate.period)
        for address, total in totals.items():
            window = self._windows.find(address)
            if window is not None:
                window.count = max(window.count, total.count)
                window.ends_at = self._timer() + total.left
                self._heed(window)

    def _heed(self, window: Window) -> None:
        if window.count >= self._rate.amount:
            self._quiet_at = max(self._quiet_at, window.ends_at)
            self.are_quiet = False
