"""Rates such as ``5/minute``, and the networks that count as one address."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network, ip_address

MAX_AMOUNT = 1_000_000
MAX_PERIOD = 86400
# What one subscriber is given, RFC 6177: whoever has one address in it has them all.
IPV6_PREFIX = 64

_FORM = "it is a rate such as '5/minute', '100/hour' or '20/5 minutes', at most a day long, or 'none'"


@dataclass(frozen=True, slots=True)
class Rate:
    """``amount`` in each ``period``, in seconds."""

    amount: int
    period: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Return the rate that ``text`` names, as the library ``limits`` writes them. Raises ValueError."""
        # Here, because importing the package loads none of it.
        from limits import parse_many

        try:
            found = parse_many(text)
        except ValueError:
            raise ValueError(_FORM) from None
        amount, period = found[0].amount, found[0].get_expiry()
        # The library takes several in one text, too.
        if len(found) != 1 or not 1 <= amount <= MAX_AMOUNT or period > MAX_PERIOD:
            raise ValueError(_FORM)
        return cls(amount, period)


# Remembered, for reading an address costs more than counting it.
@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address itself, and of an IPv6 address the /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
