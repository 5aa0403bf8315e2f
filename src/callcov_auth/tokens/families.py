"""The refresh tokens of one session: generations that follow one another and never fork.

With rotation on, each refresh supersedes the token that was sent (RFC 9700 §4.14.2). Whoever asks again with
it within the grace, for the answer was lost or another tab was quicker, gets the newest generation as well.
After the grace a superseded token is in the hands of two, and nobody can tell which one is the thief: the
session ends. A client whose answer was lost, and that comes back only then, must log in again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile

from callcov_auth.cache.feed import Feed
from callcov_auth.errors import TokenRevoked
from callcov_auth.events import OnEvent, RefreshReused, emit
from callcov_auth.store.protocol import Change, Session, Store
from callcov_auth.tokens.claims import Claims
from callcov_auth.tokens.guards import refused

GENERATION = "callcov_generation"
"""The private claim (RFC 7519 §4.3) of a refresh token that says which one of its session it is.

It is absent from the first, whose number is 0.
"""
# How many generations of one session may be in their grace. A client that asks faster gets no newer one until
# the oldest is past it.
MAX_IN_GRACE = 32


@dataclass(frozen=True, slots=True)
class Families:
    """``grace`` is in seconds. Without ``rotates`` no generation is followed by another."""

    store: Store
    feed: Feed
    rotates: bool
    grace: float
    clock: Callable[[], float]
    on_event: OnEvent | None = None

    async def continued(self, session: Session, generation: int) -> Session | None:
        """Return ``session`` as it is after a refresh with the token of ``generation``.

        None where another refresh or a revocation came between: read the session again. Raises TokenRevoked
        for a token that was used before, and ends the session.
        """
        if self.is_reused(session, generation):
            await self._end(session)
        if not self.rotates or generation != session.generation:
            return session
        now = self.clock()
        graced = tuple(takewhile(lambda at: self._in_grace(at, now), session.superseded))
        if len(graced) >= MAX_IN_GRACE:
            return session
        return await self._advanced(session, (now, *graced))

    def is_reused(self, session: Session, generation: int) -> bool:
        """Whether the token of ``generation`` was superseded, and its grace is over. Raises InvalidToken."""
        behind = session.generation - generation
        if behind < 0:
            # A genuine token of the time before the database was set back.
            raise refused("generation_unknown")
        if behind == 0:
            return False
        # What is kept no more was out of its grace when the list was cut.
        return behind > len(session.superseded) or not self._in_grace(
            session.superseded[behind - 1], self.clock()
        )

    def _in_grace(self, superseded_at: float, now: float) -> bool:
        # To both sides: clocks of two processes differ a little, and one that was set back must not make an
        # old token good again.
        return abs(now - superseded_at) < self.grace

    async def _advanced(self, session: Session, superseded: tuple[float, ...]) -> Session | None:
        generation = session.generation
        if not await self.store.advance_session(session.id, generation=generation, superseded=superseded):
            return None
        return replace(session, generation=generation + 1, superseded=superseded)

    async def _end(self, session: Session) -> None:
        await self.store.revoke_session(session.id, at=self.clock())
        await self.feed.publish(Change("session", session.id))
        emit(RefreshReused(session.subject, session.id), self.on_event)
        raise TokenRevoked("The session was ended", reason="refresh_reused")


def generation_of(claims: Claims) -> int:
    """Return which of its session's refresh tokens this is. Raises InvalidToken."""
    generation = claims.get(GENERATION, 0)
    if isinstance(generation, bool) or not isinstance(generation, int) or generation < 0:
        raise refused("generation_malformed")
    return generation
