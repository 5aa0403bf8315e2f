"""Keys with a rate of their own: each use is counted, over one process or all."""

from dataclasses import dataclass, field

from callcov_auth.counting import Counters, whole_seconds
from callcov_auth.errors import RateLimited
from callcov_auth.principal import Principal
from callcov_auth.rates import Rate


@dataclass(frozen=True, slots=True)
class RatedPrincipal(Principal):
    """The bearer of a key that may be used no more often than ``rate``."""

    rate: Rate = field(kw_only=True)


async def count_use(caller: RatedPrincipal, counters: Counters) -> None:
    """Count one use of the caller's key. Raises RateLimited where its rate is used up."""
    left = await counters.take(f"key {caller.key_id}", caller.rate)
    if left:
        raise RateLimited(
            "The API key was used as often as its rate allows",
            limit=caller.rate.amount,
            remaining=0,
            reset=whole_seconds(left),
            reason="key_rate",
        )
