"""The cache of principals: hits, ends, order, and what a revocation drops."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(0)


def cache_of(size: int, clock: Clock, *, hashed: bool = False) -> PrincipalCache:
    cache = PrincipalCache(size, timer=clock, hashed=hashed)
    cache.trusted_until = float("inf")
    return cache


def caller(name: str, *, key: str | None = None, session: str | None = None) -> Principal:
    return Principal(subject=name, issuer="callcov", kind="token", key_id=key, session_id=session)


def remember(cache: PrincipalCache, header: bytes, principal: Principal, until: float = 100) -> None:
    cache.put(header, principal, until, version=cache.version)


def held(cache: PrincipalCache, *headers: bytes) -> list[bool]:
    return [cache.get(header) is not None for header in headers]


def test_a_hit_is_the_same_principal_until_its_end(clock: Clock) -> None:
    cache, principal = cache_of(4, clock), caller("a")
    remember(cache, b"h", principal, until=10)
    clock.advance(9.99)
    assert cache.get(b"h") is principal
    assert cache.get(b"other") is None
    clock.advance(0.01)
    assert cache.get(b"h") is None
    assert len(cache) == 0


def test_nothing_is_answered_while_the_feed_is_not_to_be_trusted(clock: Clock) -> None:
    cache = PrincipalCache(4, timer=clock)
    remember(cache, b"h", caller("a"))
    assert cache.get(b"h") is None
    cache.trusted_until = 5
    clock.advance(4.99)
    assert cache.get(b"h") is not None
    clock.advance(0.01)
    assert cache.get(b"h") is None
    cache.trusted_until = 10
    assert cache.get(b"h") is not None, "it is kept for when the feed is back"


def test_the_longest_unused_entry_makes_room(clock: Clock) -> None:
    cache = cache_of(2, clock)
    for header in (b"1", b"2"):
        remember(cache, header, caller(header.decode()))
    cache.get(b"1")
    remember(cache, b"3", caller("3"))
    assert held(cache, b"1", b"2", b"3") == [True, False, True]


def test_a_change_drops_what_it_names_and_no_more(clock: Clock) -> None:
    cache = cache_of(9, clock)
    remember(cache, b"key", caller("u", key="k"))
    remember(cache, b"token", caller("u", session="s"))
    remember(cache, b"other", caller("v", session="k"))
    cache.forget(Change("key", "k"))
    assert held(cache, b"key", b"token", b"other") == [False, True, True]
    cache.forget(Change("session", "s"))
    assert held(cache, b"token", b"other") == [False, True]
    cache.forget(Change("user", "v"))
    assert len(cache) == 0


def test_a_user_change_drops_keys_and_sessions(clock: Clock) -> None:
    cache = cache_of(9, clock)
    remember(cache, b"key", caller("u", key="k"))
    remember(cache, b"token", caller("u", session="s"))
    cache.forget(Change("user", "u"))
    assert len(cache) == 0


def test_a_new_epoch_ends_every_entry_and_takes_new_ones(clock: Clock) -> None:
    cache = cache_of(4, clock)
    remember(cache, b"before", caller("a", key="k"))
    cache.forget_all()
    remember(cache, b"after", caller("b", key="k"))
    assert held(cache, b"before", b"after") == [False, True]
    cache.forget(Change("key", "k"))
    assert len(cache) == 0


def test_what_was_looked_up_before_a_revocation_is_not_remembered_after_it(clock: Clock) -> None:
    cache = cache_of(4, clock)
    for forgetting in (lambda: cache.forget(Change("key", "k")), cache.forget_all, cache.clear):
        version = cache.version
        forgetting()
        cache.put(b"h", caller("u", key="k"), 100, version=version)
        assert cache.get(b"h") is None


def test_an_entry_put_again_belongs_to_its_new_principal_alone(clock: Clock) -> None:
    cache = cache_of(4, clock)
    remember(cache, b"h", caller("u", key="old"))
    remember(cache, b"h", caller("u", key="new"))
    cache.forget(Change("key", "old"))
    assert held(cache, b"h") == [True]
    cache.forget(Change("key", "new"))
    assert held(cache, b"h") == [False]


def test_the_index_holds_nothing_that_left(clock: Clock) -> None:
    cache = cache_of(3, clock)
    for number in range(50):
        remember(cache, b"%d" % number, caller(f"u{number}", key=f"k{number}", session=f"s{number}"))
    assert len(cache) == 3
    assert len(cache._index) == 9
    cache.clear()
    assert len(cache) == 0
    assert cache._index == {}


def test_hashed_it_holds_no_credential(clock: Clock) -> None:
    cache, header = cache_of(4, clock, hashed=True), b"Bearer sk_live_of_a_caller"
    remember(cache, header, caller("u", key="k"))
    assert held(cache, header, hashlib.sha256(header).digest()) == [True, False]
    assert header not in repr((cache._entries, cache._index)).encode()
    assert list(cache._entries) == [hashlib.sha256(header).digest()]
    cache.forget(Change("key", "k"))
    assert held(cache, header) == [False]


@dataclass
class Model:
    """The cache as a list of (header, principal, until), the longest unused first."""

    size: int
    rows: list[tuple[bytes, Principal, float]] = field(default_factory=list)

    def put(self, header: bytes, principal: Principal, until: float) -> None:
        others = [row for row in self.rows if row[0] != header]
        self.rows = [*others, (header, principal, until)][-self.size :]

    def get(self, header: bytes, now: float) -> Principal | None:
        found = next((row for row in self.rows if row[0] == header), None)
        self.rows = [row for row in self.rows if row is not found]
        if found is None or found[2] <= now:
            return None
        self.rows.append(found)
        return found[1]

    def forget(self, change: Change) -> None:
        self.rows = [row for row in self.rows if change.id not in names(row[1])[change.target]]


def names(principal: Principal) -> dict[str, tuple[str | None, ...]]:
    return {"key": (principal.key_id,), "session": (principal.session_id,), "user": (principal.subject,)}


def test_hits_are_put_in_order_from_half_full_on(clock: Clock) -> None:
    cache = cache_of(8, clock)
    for number in range(3):
        remember(cache, b"%d" % number, caller("early"))
    assert held(cache, b"0") == [True]
    for number in range(3, 8):
        remember(cache, b"%d" % number, caller("late"))
    assert held(cache, b"1") == [True]
    remember(cache, b"8", caller("late"))
    remember(cache, b"9", caller("late"))
    assert held(cache, b"0", b"1", b"2", b"3") == [False, True, False, True]


def test_a_cache_that_was_emptied_begins_anew(clock: Clock) -> None:
    cache = cache_of(4, clock)
    for number in range(4):
        remember(cache, b"%d" % number, caller(str(number)))
    assert cache.keeps_order
    cache.clear()
    assert not cache.keeps_order
    remember(cache, b"0", caller("0"))
    remember(cache, b"1", caller("1"))
    cache.forget(Change("user", "0"))
    assert not cache.keeps_order


@pytest.mark.parametrize("hashed", [False, True])
def test_random_operations_agree_with_a_plain_model(hashed: bool) -> None:
    draw = random.Random(20260101)
    for _ in range(10_000):
        clock = Clock(0)
        cache, model = cache_of(3, clock, hashed=hashed), Model(3)
        for _ in range(draw.randint(1, 25)):
            act(draw, clock, cache, model, cache.get)


def act(
    draw: random.Random,
    clock: Clock,
    cache: PrincipalCache,
    model: Model,
    get: Callable[[bytes], Principal | None],
) -> None:
    """Do one thing at random to the cache, and to the model of it. ``get`` is how the cache is asked."""
    header = b"%d" % draw.randint(0, 5)
    what = draw.choices(["put", "late put", "get", "forget", "forget all", "wait"], [6, 1, 6, 3, 0.3, 2])[0]
    if what == "put":
        principal = caller(
            f"u{draw.randint(0, 2)}", key=f"n{draw.randint(0, 3)}", session=f"n{draw.randint(0, 3)}"
        )
        until = clock() + draw.randint(0, 8)
        remember(cache, header, principal, until)
        model.put(header, principal, until)
    elif what == "late put":
        version = cache.version
        cache.forget(Change("key", "nobody's"))
        cache.put(header, caller("late"), 100, version=version)
    elif what == "get":
        assert get(header) is model.get(header, clock())
    elif what == "forget":
        target = draw.choice(["key", "session", "user"])
        change = Change(target, f"{'u' if target == 'user' else 'n'}{draw.randint(0, 3)}")
        cache.forget(change)
        model.forget(change)
    elif what == "forget all":
        cache.clear()
        model.rows.clear()
    else:
        clock.advance(1)
    assert len(cache) == len(model.rows)
