"""Other issuers' keys over the network: fetched, kept for a while, and never taken from anywhere else.

The last good set stays in use while its issuer is dead, for ``stale_for`` seconds; then the answer cannot
be known, and is 503. An unknown ``kid`` asks the issuer again, at most once in ``COOL_DOWN`` seconds,
however many tokens name one.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from anyio import CancelScope, Lock

from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import KeysFetched, KeysLost, OnEvent, emit
from callcov_auth.tokens.jwk import BadKey, KeySet, VerifyingKey, load_key_set

# All in seconds.
COOL_DOWN = 30.0
MIN_AGE = 60.0
DEFAULT_AGE = 600.0
MAX_AGE = 86400.0
# The part of a set's life after which it is fetched anew, in the background.
REFRESH_AT = 0.8
# For so long after ``refresh`` was called somebody is taken to call it again.
TENDED_FOR = 5.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, and how long its sender lets it be kept; None where it does not say."""

    document: object
    max_age: float | None


class FetchFailed(Exception):
    """No document came. The text is a short reason."""


Fetch = Callable[[], Awaitable[Fetched]]


class RemoteKeys:
    """One issuer's key set. ``timer`` is monotonic, in seconds."""

    def __init__(
        self,
        issuer: str,
        fetch: Fetch,
        *,
        algorithms: Collection[str],
        stale_for: float,
        timer: Callable[[], float],
        on_event: OnEvent | None = None,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._algorithms = algorithms
        self._stale_for = stale_for
        self._timer = timer
        self._on_event = on_event
        self._lock = Lock()
        self._keys = KeySet()
        self._asked_at = self._refresh_at = self._fresh_until = self._good_until = float("-inf")
        self._tended_at = float("-inf")
        self._lost = False

    async def find(self, kid: object) -> VerifyingKey | None:
        """Return the key that ``kid`` means; a known one waits for nobody while others fetch the set anew.

        Raises AuthUnavailable where the keys are older than ``stale_for`` allows, and for an unknown ``kid``
        when they could not be fetched the last time: it may be that of a new key.
        """
        if self._timer() >= self._fresh_until and not (self._is_good() and self._is_cared_for()):
            await self._ask()
        if not self._is_good():
            raise self._unavailable()
        key = self._keys.find(kid)
        if key is None and isinstance(kid, str):
            await self._ask()
            key = self._keys.find(kid)
            if key is None and self._lost:
                raise self._unavailable()
        return key

    async def refresh(self) -> None:
        """Fetch the set anew where most of its life is over; called now and then in the background."""
        self._tended_at = self._timer()
        if self._timer() >= self._refresh_at:
            await self._ask(shield=False)

    def _is_good(self) -> bool:
        return self._timer() < self._good_until

    def _is_cared_for(self) -> bool:
        """Whether somebody else fetches the set anew, so that a request need not wait for it."""
        return self._lock.locked() or self._timer() < self._tended_at + TENDED_FOR

    def _unavailable(self) -> AuthUnavailable:
        return AuthUnavailable(reason="jwks_unavailable", retry_after=int(COOL_DOWN))

    async def _ask(self, *, shield: bool = True) -> None:
        """Fetch once for all who wait, and then not again for a while.

        Shielded, for a caller who goes away would take the answer from all others until that while is over.
        """
        async with self._lock:
            if self._timer() < self._asked_at + COOL_DOWN:
                return
            self._asked_at = self._timer()
            with CancelScope(shield=shield):
                await self._fetch_once()

    async def _fetch_once(self) -> None:
        try:
            fetched = await self._fetch()
            keys, refused = load_key_set(fetched.document, algorithms=self._algorithms, inline=False)
        except (FetchFailed, BadKey) as error:
            self._mark_lost(str(error))
        except Exception as error:
            # Whatever a stranger sends, it must not end the task that refreshes the keys of everybody.
            self._mark_lost(type(error).__name__)
        else:
            self._take(keys, refused, fetched.max_age)

    def _take(self, keys: KeySet, refused: Sequence[str], max_age: float | None) -> None:
        if not keys.keys:
            # Of no use to anybody; more likely a fault than the end of all keys.
            self._mark_lost(refused[0] if refused else "the key set is empty")
            return
        age = DEFAULT_AGE if max_age is None else min(max(max_age, MIN_AGE), MAX_AGE)
        self._keys = keys
        self._refresh_at = self._asked_at + REFRESH_AT * age
        self._fresh_until = self._asked_at + age
        self._good_until = self._fresh_until + self._stale_for
        self._lost = False
        emit(KeysFetched(self._issuer, len(keys.keys), tuple(refused)), self._on_event)

    def _mark_lost(self, reason: str) -> None:
        if not self._lost:
            emit(KeysLost(self._issuer, reason), self._on_event)
        self._lost = True
