"""Scopes, and a principal that nothing can widen."""

import dataclasses
from typing import Any

import pytest

from callcov_auth import ANONYMOUS, Principal
from callcov_auth.principal import cut, grants


def principal(*scopes: str, **fields: Any) -> Principal:
    return Principal(subject="usr_1", issuer="callcov", kind="token", scopes=frozenset(scopes), **fields)


@pytest.mark.parametrize(
    ("granted", "scope", "holds"),
    [
        ({"calls:read"}, "calls:read", True),
        ({"calls:read"}, "calls:write", False),
        ({"calls:read"}, "calls", False),
        ({"calls:*"}, "calls:read", True),
        ({"calls:*"}, "calls:read:all", True),
        ({"calls:read:*"}, "calls:read:all", True),
        ({"calls:read:*"}, "calls:read", False),
        ({"calls:*"}, "calls:", True),
        ({"calls:*"}, "calls", False),
        ({"calls:*"}, "callsign:read", False),
        ({"calls*"}, "calls:read", False),
        ({"*"}, "anything", True),
        ({"calls:*"}, "*", False),
        ({"calls:*"}, "calls:*", True),
        (set(), "calls:read", False),
    ],
)
def test_what_a_scope_grants(granted: set[str], scope: str, holds: bool) -> None:
    assert grants(granted, scope) is holds
    assert principal(*granted).has(scope) is holds
    assert (scope in principal(*granted).credentials.scopes) is holds


def test_a_route_that_requires_several_requires_all() -> None:
    assert principal("a", "b").has("a", "b")
    assert not principal("a").has("a", "b")
    assert principal("a").has()


@pytest.mark.parametrize(
    ("scopes", "limit", "left"),
    [
        ({"a", "b"}, {"b", "c"}, {"b"}),
        ({"calls:*"}, {"calls:read", "users:read"}, {"calls:read"}),
        ({"calls:read", "users:read"}, {"calls:*"}, {"calls:read"}),
        ({"*"}, {"calls:*"}, {"calls:*"}),
        ({"a"}, set(), set()),
    ],
)
def test_cut_leaves_what_both_sides_grant(scopes: set[str], limit: set[str], left: set[str]) -> None:
    one, other = frozenset(scopes), frozenset(limit)
    assert cut(one, other) == left
    assert cut(other, one) == left


def test_starlettes_convention_of_the_scope_authenticated() -> None:
    assert "authenticated" in principal().credentials.scopes
    assert "authenticated" not in ANONYMOUS.credentials.scopes
    assert 3 not in principal("*").credentials.scopes
    assert list(principal("b", "a").credentials.scopes) == ["a", "authenticated", "b"]
    assert len(principal("b", "a").credentials.scopes) == 3


def test_what_starlette_reads() -> None:
    caller = principal()
    assert (caller.is_authenticated, caller.display_name, caller.identity) == (True, "usr_1", "usr_1")
    assert not ANONYMOUS.is_authenticated
    assert ANONYMOUS.scopes == frozenset()


def test_nothing_on_a_principal_can_be_changed() -> None:
    caller = principal("a", claims={"roles": ["a", {"deep": [1]}]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.scopes = frozenset("*")  # type: ignore[misc]
    with pytest.raises(TypeError):
        caller.claims["roles"] = []  # type: ignore[index]
    assert caller.claims["roles"][1]["deep"] == (1,)
    with pytest.raises(TypeError):
        caller.claims["roles"][1]["deep"] = ()
    with pytest.raises((AttributeError, TypeError)):
        caller.extra = 1  # type: ignore[attr-defined]


def test_scopes_given_as_a_set_are_frozen() -> None:
    given = {"a"}
    caller = Principal(subject="s", issuer="i", kind="token", scopes=given)  # type: ignore[arg-type]
    given.add("b")
    assert caller.scopes == frozenset({"a"})


def test_claims_stay_out_of_the_repr() -> None:
    assert "someone@example.com" not in repr(principal(claims={"email": "someone@example.com"}))


def test_principals_compare_and_hash_by_what_they_hold() -> None:
    assert principal("a") == principal("a")
    assert hash(principal("a", claims={"x": 1})) == hash(principal("a", claims={"x": 1}))
    assert principal("a") != principal("b")
