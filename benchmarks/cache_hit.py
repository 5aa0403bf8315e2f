"""A hit of the principal cache beside one of cachetools' LRUCache, and what an entry takes in memory.

    python -m benchmarks.cache_hit

Prints the ratio of the times, and the bytes of an entry for a key and for a token.
"""

import secrets
import statistics
import time
import tracemalloc
from collections.abc import Callable

from cachetools import LRUCache

from callcov_auth.cache.principals import Entry, Epoch, PrincipalCache
from callcov_auth.principal import Principal

ROUNDS, HITS, HEADERS, ENTRIES = 31, 20_000, 100, 10_000
FOREVER = float("inf")


def caller(number: int) -> Principal:
    return Principal(
        subject=f"usr_{number:024x}",
        issuer="callcov",
        kind="api_key",
        scopes=frozenset({"calls:read", "calls:write"}),
        environment="live",
        key_id=f"key_{number:024x}",
    )


def claimant(number: int) -> Principal:
    claims = {name: secrets.token_hex(8) for name in ("iss", "sub", "aud", "jti", "scope", "sid")}
    return Principal(
        subject=f"usr_{number:024x}",
        issuer="callcov",
        kind="token",
        scopes=frozenset({"calls:read", "calls:write"}),
        session_id=f"ses_{number:024x}",
        expires_at=time.time(),
        claims={**claims, "exp": 1, "iat": 1, "nbf": 1},
    )


def header(length: int) -> bytes:
    return b"Bearer " + secrets.token_hex(length // 2).encode()


def ours(headers: list[bytes]) -> Callable[[bytes], object]:
    cache = PrincipalCache(HEADERS, timer=time.monotonic)
    cache.trusted_until = FOREVER
    for number, each in enumerate(headers):
        cache.put(each, caller(number), FOREVER, version=cache.version)
    return cache.get


def theirs(headers: list[bytes]) -> Callable[[bytes], object]:
    """Return the least that the same promises need around cachetools' LRUCache."""
    cache: LRUCache[bytes, Entry] = LRUCache(HEADERS)
    for number, each in enumerate(headers):
        cache[each] = Entry(caller(number), FOREVER, Epoch(FOREVER))

    def get(name: bytes) -> Principal | None:
        entry = cache.get(name)
        return entry.principal if entry is not None and entry.until > time.monotonic() else None

    return get


def time_of(get: Callable[[bytes], object], headers: list[bytes]) -> float:
    began = time.process_time_ns()
    for number in range(HITS):
        get(headers[number % HEADERS])
    return time.process_time_ns() - began


def bytes_of_an_entry(make: Callable[[int], Principal], length: int) -> float:
    tracemalloc.start()
    try:
        cache = PrincipalCache(ENTRIES, timer=time.monotonic)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(ENTRIES):
            cache.put(header(length), make(number), FOREVER, version=cache.version)
        return (tracemalloc.get_traced_memory()[0] - before) / ENTRIES
    finally:
        tracemalloc.stop()


def main() -> None:
    headers = [header(56) for _ in range(HEADERS)]
    get_ours, get_theirs = ours(headers), theirs(headers)
    ratios = []
    for turn in range(ROUNDS):
        first, second = (get_ours, get_theirs) if turn % 2 else (get_theirs, get_ours)
        times = {get: time_of(get, headers) for get in (first, second)}
        ratios.append(times[get_theirs] / times[get_ours])
    print(f"a hit of cachetools' LRUCache ÷ one of ours: {statistics.median(ratios):.2f}")
    print(f"an entry for a key: {bytes_of_an_entry(caller, 56):.0f} bytes")
    print(f"an entry for a token of 500 bytes: {bytes_of_an_entry(claimant, 500):.0f} bytes")


if __name__ == "__main__":
    main()
