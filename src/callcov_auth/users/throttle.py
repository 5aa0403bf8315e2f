"""Failed logins, over one process or all: who guesses is stopped before a password is hashed.

A try counts before it is evaluated and is given back if it was right, so however many come at once,
exactly as many are evaluated as may fail. What is counted:

- tries at one account from one address, by ``login_rate``. A stranger elsewhere takes none of them away.
- tries at one account from all addresses together, ten times as many. Past that there is one try each few
  seconds for whoever comes first, so that the owner gets in from a new address too, slowly.
- tries at all accounts from one address, by ``failure_rate``.

An address from which an account logged in lately is not held to the last two for that account: no flood
from elsewhere, and none at other accounts, keeps its owner out.
"""

import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from anyio import Event

from callcov_auth.counting import Counters, whole_seconds
from callcov_auth.errors import AuthError, InvalidCredentials, RateLimited
from callcov_auth.rates import Rate, network_of

# How many times ``login_rate`` an account takes from all the addresses that it is not known to use.
ACCOUNT_FACTOR = 10
# How long an address is known after a login, in seconds.
KNOWN_FOR = 30 * 86400
# How many callers wait for others' tries at the same account from the same address.
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class _Quota:
    """What a try takes from. Once it is used up, a try waits for those under way, or takes from ``slow``."""

    name: str
    rate: Rate
    reason: str
    slow: Rate | None = None


@dataclass(slots=True)
class _UnderWay:
    """How many tries are under way here at one account from one address, and who waits for one to end."""

    count: int = 0
    waiting: deque[Event] = field(default_factory=deque)


class LoginThrottle:
    """Either rate is None where it is switched off. ``key`` keeps emails out of the counters' names."""

    def __init__(
        self, login_rate: Rate | None, failure_rate: Rate | None, counters: Counters, key: bytes
    ) -> None:
        self._login_rate = login_rate
        self._failure_rate = failure_rate
        self._counters = counters
        self._key = key
        self._under_way: dict[str, _UnderWay] = {}
        self._waiting = 0

    @asynccontextmanager
    async def attempt(self, email: str, address: str | None) -> AsyncIterator[None]:
        """Count the try that is made within. It is given back unless it ends with InvalidCredentials.

        ``address`` is None where nobody knows it: then the account is counted alone. Raises RateLimited.
        """
        source = None if address is None else network_of(address)
        pair = self._name("pair", email, source or "")
        taken: list[_Quota] = []
        try:
            for quota in await self._quotas(pair, email, source):
                await self._take(quota, taken)
            yield
        except InvalidCredentials:
            raise
        except AuthError:
            await self._give_back(taken)
            raise
        else:
            await self._give_back(taken)
            if source is not None:
                await self._counters.remember(pair, KNOWN_FOR)
        finally:
            self._end(taken)

    async def _quotas(self, pair: str, email: str, source: str | None) -> list[_Quota]:
        quotas = []
        if self._login_rate is not None:
            quotas.append(_Quota(pair, self._login_rate, "login_rate"))
        if source is None or await self._counters.remembers(pair):
            return quotas
        if self._login_rate is not None:
            account = Rate(self._login_rate.amount * ACCOUNT_FACTOR, self._login_rate.period)
            slow = Rate(1, whole_seconds(account.period / account.amount))
            quotas.append(_Quota(self._name("account", email), account, "login_rate_of_account", slow))
        if self._failure_rate is not None:
            quotas.append(_Quota(self._name("source", source), self._failure_rate, "failure_rate"))
        return quotas

    async def _take(self, quota: _Quota, taken: list[_Quota]) -> None:
        is_taken = False
        try:
            is_taken = await self._is_taken(quota)
        finally:
            if not is_taken:
                # This one's turn was another's too, who has to see what is left.
                self._wake_one(quota.name)
        if is_taken:
            taken.append(quota)
            if quota.slow is None:
                self._under_way.setdefault(quota.name, _UnderWay()).count += 1

    async def _is_taken(self, quota: _Quota) -> bool:
        """Take from ``quota``; False where its slow lane had it, of which nothing is given back."""
        while left := await self._counters.take(quota.name, quota.rate):
            others = self._under_way.get(quota.name)
            if others is not None and others.count and self._waiting < MAX_WAITING:
                # One of them may be right, and give back what this one needs.
                await self._wait_for(others)
                continue
            if quota.slow is not None:
                left = await self._counters.take(f"{quota.name} slow", quota.slow)
            if left:
                raise RateLimited(
                    limit=quota.rate.amount, remaining=0, reset=whole_seconds(left), reason=quota.reason
                )
            return False
        return True

    async def _wait_for(self, others: _UnderWay) -> None:
        others.waiting.append(turn := Event())
        self._waiting += 1
        try:
            await turn.wait()
        finally:
            self._waiting -= 1
            if not turn.is_set():
                others.waiting.remove(turn)

    def _wake_one(self, name: str) -> None:
        """Let one of those who wait try again: an end makes room for one at most."""
        under_way = self._under_way.get(name)
        if under_way is None:
            return
        if under_way.waiting:
            under_way.waiting.popleft().set()
        elif under_way.count == 0:
            del self._under_way[name]

    async def _give_back(self, taken: list[_Quota]) -> None:
        for quota in taken:
            await self._counters.give_back(quota.name, quota.rate)

    def _end(self, taken: list[_Quota]) -> None:
        for quota in taken:
            if quota.slow is None:
                self._under_way[quota.name].count -= 1
                self._wake_one(quota.name)

    def _name(self, kind: str, *parts: str) -> str:
        # Digests, because whoever can read the counters need not learn who has an account here.
        text = "\0".join((kind, *parts)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._key, person=b"login throttle").hexdigest()
