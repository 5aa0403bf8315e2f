"""The rules of claims by themselves, at their bounds."""

from typing import Any

import pytest

from callcov_auth.errors import InvalidToken, TokenExpired
from callcov_auth.tokens.claims import MAX_NAME, MAX_SCOPES, MAX_TIME, ClaimRules

NOW = 1_800_000_000
RULES = ClaimRules("callcov", "calls")
LISTED = ClaimRules("callcov", "calls", scope_claim="scp")


def claims(**changes: Any) -> dict[str, Any]:
    return {"iss": "callcov", "sub": "u", "aud": "calls", "exp": NOW + 1} | changes


def refused_for(rules: ClaimRules, **changes: Any) -> str:
    with pytest.raises(InvalidToken) as caught:
        rules.check(claims(**changes), NOW)
    return caught.value.reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sub": "x" * MAX_NAME, "jti": "x" * MAX_NAME, "sid": "s"},
        {"aud": ["calls"]},
        {"aud": ["a", "calls", "b"]},
        {"iat": 0, "nbf": 0},
        {"iat": NOW, "nbf": float(NOW)},
        {"exp": NOW + 0.001},
        {"exp": MAX_TIME - 1},
        {"scope": " ".join("a" * MAX_SCOPES)},
        {"scope": "x" * 128},
    ],
)
def test_what_is_just_right(changes: dict[str, Any]) -> None:
    given = claims(**changes)
    RULES.check(given, NOW)
    assert given == claims(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "Callcov"}, "wrong_iss"),
        ({"iss": None}, "wrong_iss"),
        ({"sub": "x" * (MAX_NAME + 1)}, "sub_missing_or_malformed"),
        ({"sub": "a\u2028"}, "sub_not_printable"),
        ({"sub": "\ud800"}, "sub_not_printable"),
        ({"jti": ""}, "jti_missing_or_malformed"),
        ({"jti": None}, "jti_missing_or_malformed"),
        ({"sid": "x" * (MAX_NAME + 1)}, "sid_missing_or_malformed"),
        ({"aud": ["calls", None]}, "aud_missing_or_malformed"),
        ({"aud": "call"}, "wrong_aud"),
        ({"aud": "calls "}, "wrong_aud"),
        ({"scope": " ".join("a" * (MAX_SCOPES + 1))}, "scope_malformed"),
        ({"scope": "x" * 129}, "scope_malformed"),
        ({"scope": 1}, "scope_malformed"),
        ({"exp": MAX_TIME}, "exp_missing_or_malformed"),
        ({"exp": -1}, "exp_missing_or_malformed"),
        ({"exp": float("nan")}, "exp_missing_or_malformed"),
        ({"iat": NOW + 0.001}, "iat_in_the_future"),
        ({"nbf": NOW + 0.001}, "nbf_in_the_future"),
        ({"nbf": MAX_TIME}, "nbf_missing_or_malformed"),
    ],
)
def test_what_is_just_wrong(changes: dict[str, Any], reason: str) -> None:
    assert refused_for(RULES, **changes) == f"token_{reason}"


@pytest.mark.parametrize("exp", [0, 0.5, 1, NOW - 1, NOW, float(NOW)])
def test_a_time_that_is_over_is_well_formed(exp: float) -> None:
    with pytest.raises(TokenExpired) as caught:
        RULES.check(claims(exp=exp), NOW)
    assert caught.value.reason == "token_expired"


@pytest.mark.parametrize(
    ("scope", "granted"), [("", set()), ("a", {"a"}), ("b a b", {"a", "b"}), ("calls:* *", {"calls:*", "*"})]
)
def test_scopes_in_a_string(scope: str, granted: set[str]) -> None:
    assert RULES.scopes({"scope": scope}) == granted
    assert LISTED.scopes({"scp": scope}) == granted


def test_no_scope_claim_grants_nothing() -> None:
    assert RULES.scopes({}) == frozenset()
    assert LISTED.scopes({"scope": "a"}) == frozenset()
    assert RULES.scopes({"scp": ["a"]}) == frozenset()


def test_a_list_of_scopes_is_taken_under_the_claim_that_a_setting_names() -> None:
    assert LISTED.scopes({"scp": []}) == frozenset()
    assert LISTED.scopes({"scp": ["a", "b:*"]}) == {"a", "b:*"}
    assert len(LISTED.scopes({"scp": [f"s{number}" for number in range(MAX_SCOPES)]})) == MAX_SCOPES


@pytest.mark.parametrize(
    "scp", [["a b"], [""], ["a", 1], [None], [["a"]], {"a": 1}, 1, True, None, ["a"] * (MAX_SCOPES + 1)]
)
def test_a_list_that_holds_more_than_scopes_is_refused(scp: object) -> None:
    assert refused_for(LISTED, scp=scp) == "token_scope_malformed"


def test_leeway_moves_each_bound_by_its_seconds() -> None:
    lenient = ClaimRules("callcov", "calls", leeway=10)
    lenient.check(claims(exp=NOW - 9.5, iat=NOW + 10, nbf=NOW + 10), NOW)
    with pytest.raises(TokenExpired):
        lenient.check(claims(exp=NOW - 10), NOW)
    assert refused_for(lenient, nbf=NOW + 10.5) == "token_nbf_in_the_future"
