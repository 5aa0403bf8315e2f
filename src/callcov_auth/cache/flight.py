"""Single flight: of all who ask for the same thing at the same time, one does the work."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import Event

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    """What one leader found: a ``result``, an ``error``, or, if it was cancelled, neither.

    ``landed`` is there once somebody waits for it; most flights have nobody aboard but their leader.
    """

    landed: Event | None = None
    result: T | None = None
    error: Exception | None = None


class SingleFlight(Generic[T]):
    """Used from one event loop. It holds a flight only while somebody works on it."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._flights

    async def run(self, name: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return what ``work`` returns, or what another caller's ``work`` of this ``name`` did.

        An error of the work is everybody's; a result is never None. A leader that is cancelled hands on:
        one of those who wait begins anew, and the others go on waiting.
        """
        while (flight := self._flights.get(name)) is not None:
            flight.landed = flight.landed or Event()
            await flight.landed.wait()
            if flight.error is not None:
                # Without the traces that the callers before this one left on it.
                raise flight.error.with_traceback(None)
            if flight.result is not None:
                return flight.result
        flight = self._flights[name] = _Flight()
        try:
            flight.result = await work()
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flights[name]
            if flight.landed is not None:
                flight.landed.set()
        return flight.result
