"""Work that would hold up the event loop, in threads of our own: under asyncio and trio alike.

A hop through anyio's threads takes the loop two turns more, and each of them sleeps until the loop hands it a
piece of work. These have a queue of their own: one that is busy finds the next piece there. A hop takes half
as long (the row cold-select of ``benchmarks``), and fifty logins hold others up for half as long (login-p99).
"""

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any, Generic, TypeVar

from anyio import CancelScope, Event, get_cancelled_exc_class
from anyio.lowlevel import current_token

T = TypeVar("T")


class GivenUp(BaseException):
    """Ends work that nobody waits for any more."""


class _Doing(local):
    """What this thread is at."""

    piece: "_Piece[Any] | None" = None


_doing = _Doing()


def check_cancelled() -> None:
    """Raise GivenUp where the caller of this thread's work was cancelled; for work that takes long."""
    if _doing.piece is not None and _doing.piece.is_given_up:
        raise GivenUp


@dataclass(slots=True, eq=False)
class _End:
    """The end of a piece of work, waited for on any event loop, and told from any thread."""

    soon: Callable[[Callable[[], object]], object]
    event: Event = field(default_factory=Event)

    def tell(self) -> None:
        self.soon(self.event.set)

    async def wait(self) -> None:
        await self.event.wait()


@dataclass(slots=True, eq=False)
class _AsyncioEnd:
    """The same in a third of the time, which a lookup waits for: asyncio's own future."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]
    has_come: bool = False

    def tell(self) -> None:
        self.loop.call_soon_threadsafe(self._come)

    async def wait(self) -> None:
        if self.future.cancelled() and not self.has_come:
            # Who was cancelled waits once more.
            self.future = self.loop.create_future()
        if not self.has_come:
            await self.future

    def _come(self) -> None:
        self.has_come = True
        if not self.future.done():
            self.future.set_result(None)


@dataclass(slots=True, eq=False)
class _Piece(Generic[T]):
    """Work for whoever takes it first: the thread that does it, or the caller who gives it up."""

    work: Callable[[], T]
    end: _End | _AsyncioEnd
    value: Any = None
    error: BaseException | None = None
    is_given_up: bool = False
    _taken: Lock = field(default_factory=Lock)

    def take(self) -> bool:
        return self._taken.acquire(blocking=False)

    def do(self) -> None:
        _doing.piece = self
        try:
            self.value = self.work()
        except BaseException as error:
            self.error = error
        _doing.piece = None
        try:
            self.end.tell()
        except RuntimeError:
            # A loop that has closed hears of nothing; nobody waits there any more.
            return

    def outcome(self) -> T:
        if self.error is None:
            return self.value  # type: ignore[no-any-return]
        try:
            raise self.error
        finally:
            # Its traceback knows this piece, and the two would keep each other.
            self.error = None


_Queue = SimpleQueue[_Piece[Any] | None]


class Threads:
    """At most ``most`` threads, begun when they are needed; what comes meanwhile waits in its order."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._queue: _Queue = SimpleQueue()
        self._beginning = Lock()
        self._begun = 0
        self._inside = 0
        weakref.finalize(self, self._queue.put, None).atexit = False

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise what it raises.

        Who is cancelled leaves the queue. What was begun has no way back, so it is waited for.
        """
        piece = _Piece(work, _end())
        self._inside += 1
        try:
            if self._inside > self._begun:
                self._begin()
            self._queue.put(piece)
            await _end_of(piece)
            return piece.outcome()
        finally:
            self._inside -= 1

    def _begin(self) -> None:
        with self._beginning:
            if self._begun < self._most:
                self._begun += 1
                # A daemon, for what it is at has a caller who waits, and nothing else is to be finished.
                Thread(
                    target=_do_all, args=[self._queue], name=f"callcov-auth {self._name}", daemon=True
                ).start()


async def _end_of(piece: _Piece[Any]) -> None:
    try:
        await piece.end.wait()
    except get_cancelled_exc_class():
        piece.is_given_up = True
        if not piece.take():
            with CancelScope(shield=True):
                await piece.end.wait()
        raise


def _do_all(queue: _Queue) -> None:
    while (piece := queue.get()) is not None:
        if piece.take():
            piece.do()
        # Not kept until the next one comes.
        del piece
    # For the next thread.
    queue.put(None)


def _end() -> _End | _AsyncioEnd:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _End(_trio_soon())
    if asyncio.current_task(loop) is None:
        # trio, as a guest on asyncio's loop.
        return _End(_trio_soon())
    return _AsyncioEnd(loop, loop.create_future())


def _trio_soon() -> Callable[[Callable[[], object]], object]:
    """Return what has this event loop call something soon, from any thread."""
    token: Any = current_token()
    # Since anyio 4.11 a token holds trio's own, and before it was that.
    soon: Callable[[Callable[[], object]], object] = getattr(token, "native_token", token).run_sync_soon
    return soon
