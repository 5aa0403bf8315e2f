"""The cache of principals: hits, ends, order, and what a revocation drops."""

import random

from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change


def caller(name: str, *, key: str | None = None, session: str | None = None) -> Principal:
    return Principal(subject=name, issuer="callcov", kind="token", key_id=key, session_id=session)


def remember(cache: PrincipalCache, header: bytes, principal: Principal, until: float = 100) -> None:
    cache.put(header, principal, until, version=cache.version)


def test_a_hit_is_the_same_principal_until_its_end() -> None:
    cache, principal = PrincipalCache(4), caller("a")
    remember(cache, b"h", principal, until=10)
    assert cache.get(b"h", 9.99) is principal
    assert cache.get(b"other", 9.99) is None
    assert cache.get(b"h", 10) is None
    assert len(cache) == 0


def test_the_longest_unused_entry_makes_room() -> None:
    cache = PrincipalCache(2)
    for header in (b"1", b"2"):
        remember(cache, header, caller(header.decode()))
    cache.get(b"1", 0)
    remember(cache, b"3", caller("3"))
    assert [cache.get(header, 0) is not None for header in (b"1", b"2", b"3")] == [True, False, True]


def test_a_change_drops_what_it_names_and_no_more() -> None:
    cache = PrincipalCache(9)
    remember(cache, b"key", caller("u", key="k"))
    remember(cache, b"token", caller("u", session="s"))
    remember(cache, b"other", caller("v", session="k"))
    cache.forget(Change("key", "k"))
    assert [cache.get(header, 0) is not None for header in (b"key", b"token", b"other")] == [
        False,
        True,
        True,
    ]
    cache.forget(Change("session", "s"))
    assert cache.get(b"token", 0) is None
    cache.forget(Change("user", "v"))
    assert len(cache) == 0


def test_a_user_change_drops_keys_and_sessions() -> None:
    cache = PrincipalCache(9)
    remember(cache, b"key", caller("u", key="k"))
    remember(cache, b"token", caller("u", session="s"))
    cache.forget(Change("user", "u"))
    assert len(cache) == 0


def test_what_was_looked_up_before_a_revocation_is_not_remembered_after_it() -> None:
    cache = PrincipalCache(4)
    for forgetting in (lambda: cache.forget(Change("key", "k")), cache.clear):
        version = cache.version
        forgetting()
        cache.put(b"h", caller("u", key="k"), 100, version=version)
        assert cache.get(b"h", 0) is None


def test_an_entry_put_again_belongs_to_its_new_principal_alone() -> None:
    cache = PrincipalCache(4)
    remember(cache, b"h", caller("u", key="old"))
    remember(cache, b"h", caller("u", key="new"))
    cache.forget(Change("key", "old"))
    assert cache.get(b"h", 0) is not None
    cache.forget(Change("key", "new"))
    assert cache.get(b"h", 0) is None


def test_the_index_holds_nothing_that_left() -> None:
    cache = PrincipalCache(3)
    for number in range(50):
        remember(cache, b"%d" % number, caller(f"u{number}", key=f"k{number}", session=f"s{number}"))
    assert len(cache) == 3
    assert len(cache._entries._index) == 9
    cache.clear()
    assert len(cache) == 0
    assert cache._entries._index == {}


def test_random_operations_agree_with_a_plain_model() -> None:
    """The model: a list of (header, principal, until), the longest unused first."""
    draw = random.Random(20260101)
    for _ in range(2_000):
        cache, model, size = PrincipalCache(3), [], 3
        for now in range(draw.randint(1, 20)):
            act, header = draw.choice("pppggf"), b"%d" % draw.randint(0, 5)
            if act == "p":
                principal = caller(f"u{draw.randint(0, 2)}", key=f"k{draw.randint(0, 3)}")
                until = now + draw.randint(0, 8)
                remember(cache, header, principal, until)
                model = [row for row in model if row[0] != header][-size:]
                model = [*model[-(size - 1) :], (header, principal, until)]
            elif act == "g":
                held = next((row for row in model if row[0] == header), None)
                model = [row for row in model if row is not held]
                alive = held is not None and held[2] > now
                model += [held] if held and alive else []
                assert cache.get(header, now) is (held[1] if held and alive else None)
            else:
                key = f"k{draw.randint(0, 3)}"
                cache.forget(Change("key", key))
                model = [row for row in model if row[1].key_id != key]
            assert len(cache) == len(model)
