"""The refusal table and its two ready forms."""

import pytest

from callcov_auth.errors import (
    REFUSALS,
    AuthError,
    AuthUnavailable,
    InsufficientPermissions,
    InvalidToken,
    RateLimited,
    ValidationFailed,
    callcov_error,
    problem_details,
)

TABLE = {
    "missing_token": (401, ""),
    "invalid_token": (401, "invalid_token"),
    "token_expired": (401, "invalid_token"),
    "token_revoked": (401, "invalid_token"),
    "invalid_credentials": (401, None),
    "insufficient_permissions": (403, "insufficient_scope"),
    "https_required": (403, None),
    "not_found": (404, None),
    "conflict": (409, None),
    "key_limit_reached": (409, None),
    "malformed_json": (400, None),
    "body_too_large": (413, None),
    "validation_error": (422, None),
    "rate_limited": (429, None),
    "auth_unavailable": (503, None),
    "internal_error": (500, None),
}


def test_the_classes_are_the_table() -> None:
    assert {refusal.code: (refusal.status, refusal.challenge) for refusal in REFUSALS} == TABLE
    assert set(REFUSALS) == set(AuthError.__subclasses__())


def test_the_default_form_leaves_empty_details_out() -> None:
    media_type, body = callcov_error(InvalidToken("No.", reason="why"), "req-1")
    assert media_type == "application/json"
    assert body == {"error": {"code": "invalid_token", "message": "No.", "request_id": "req-1"}}


def test_the_default_form_shows_details() -> None:
    _, body = callcov_error(ValidationFailed({"name": "is missing"}), "req-1")
    assert body["error"]["details"] == {"fields": {"name": "is missing"}}


def test_problem_details_are_those_of_rfc_9457() -> None:
    media_type, body = problem_details(InsufficientPermissions("a", "b"), "req-1")
    assert media_type == "application/problem+json"
    assert body == {
        "type": "about:blank",
        "title": "The credential lacks a scope that is required here",
        "status": 403,
        "detail": "The credential lacks a scope that is required here",
        "code": "insufficient_permissions",
        "request_id": "req-1",
        "details": {"required_scopes": ["a", "b"]},
    }
    assert "details" not in problem_details(InvalidToken(), "req-1")[1]


def test_the_reason_is_for_the_log_alone() -> None:
    error = InvalidToken(reason="key_mac_wrong")
    assert "key_mac_wrong" not in f"{error} {callcov_error(error, 'r')} {problem_details(error, 'r')}"
    assert InvalidToken().reason == "invalid_token"


def test_headers_beside_the_challenge() -> None:
    assert InvalidToken().headers() == []
    assert AuthUnavailable(retry_after=3).headers() == [("retry-after", "3")]
    assert RateLimited(limit=5, remaining=0, reset=42).headers() == [
        ("retry-after", "42"),
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "42"),
    ]


def test_an_error_raised_without_words_describes_itself() -> None:
    for refusal in (InvalidToken, AuthUnavailable):
        with pytest.raises(refusal, match=refusal.description):
            raise refusal()
