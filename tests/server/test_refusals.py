"""Every refusal as it stands on the wire: status, challenge, headers and body."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from callcov_auth import Auth
from callcov_auth.errors import REFUSALS, problem_details
from tests.server.seeding import EMAIL, Seeded
from tests.server.site import make_site
from tests.support.raw_http import Answer, ask, bearer
from tests.support.servers import serve

REALM = 'Bearer realm="callcov"'


@dataclass(frozen=True, slots=True)
class Row:
    """A refusal met at a door of ours, or raised in an endpoint of somebody's."""

    code: str
    status: int
    challenge: str | None
    method: str = "GET"
    path: str = "/api/v1/analysis/"
    credential: str | None = None
    body: bytes = b""
    details: dict[str, Any] | None = None


def invalid(description: str) -> str:
    return f'{REALM}, error="invalid_token", error_description="{description}"'


LACKING = f'{REALM}, error="insufficient_scope"'
NO_ID = {"fields": {"email": "Field required", "password": "Field required"}}
MET = [
    Row("missing_token", 401, REALM),
    Row("missing_token", 401, REALM, path="/no/such/path"),
    Row("invalid_token", 401, invalid("The API key is not valid"), path="/raise/invalid", credential="junk"),
    Row("invalid_token", 401, invalid("The token is not valid"), credential="refresh_token"),
    Row("token_expired", 401, invalid("The token expired"), credential="expired_token"),
    Row("token_expired", 401, invalid("The token expired"), credential="expired_key"),
    Row("token_revoked", 401, invalid("The API key was revoked"), credential="revoked_key"),
    Row(
        "insufficient_permissions",
        403,
        f'{LACKING}, scope="analysis:read"',
        credential="narrow_key",
        details={"required_scopes": ["analysis:read"]},
    ),
    Row(
        "insufficient_permissions",
        403,
        f'{LACKING}, scope="analysis:read analysis:write analysis:delete"',
        method="DELETE",
        credential="key",
        details={"required_scopes": ["analysis:read", "analysis:write", "analysis:delete"]},
    ),
    Row("insufficient_permissions", 403, LACKING, path="/api/v1/users/me", credential="key"),
    Row("not_found", 404, None, path="/api/v1/api-keys/key_none", credential="token"),
    Row("not_found", 404, None, path="/api/v1/api-keys/<strangers_key_id>", credential="token"),
    Row("not_found", 404, None, "DELETE", "/api/v1/api-keys/<strangers_key_id>", credential="token"),
    Row("conflict", 409, None, "POST", "/api/v1/api-keys/<revoked_key_id>/rotate", credential="token"),
    Row("key_limit_reached", 409, None, "POST", "/api/v1/api-keys/", "full_token", b'{"name": "more"}'),
    Row("malformed_json", 400, None, "POST", "/api/v1/auth/login", body=b"{"),
    Row("malformed_json", 400, None, "POST", "/api/v1/auth/login", body=b'{"email": "a", "email": "b"}'),
    Row("validation_error", 422, None, "POST", "/api/v1/auth/login", body=b"{}", details=NO_ID),
    Row(
        "validation_error",
        422,
        None,
        "POST",
        "/api/v1/auth/login",
        body=b"[]",
        details={"fields": {"body": "is not a JSON object"}},
    ),
    Row("invalid_credentials", 401, None, "POST", "/api/v1/auth/login", body=b"<wrong password>"),
    Row("invalid_credentials", 401, None, "POST", "/api/v1/auth/login", body=b"<unknown email>"),
    Row(
        "token_revoked",
        401,
        invalid("The session was ended"),
        "POST",
        "/api/v1/auth/refresh",
        body=b"<ended>",
    ),
    Row(
        "invalid_token",
        401,
        invalid("The token is not valid"),
        "POST",
        "/api/v1/auth/refresh",
        body=b"<access>",
    ),
]
RAISED = [
    Row("missing_token", 401, REALM),
    Row("invalid_token", 401, invalid("The credential is not valid")),
    Row("token_expired", 401, invalid("The token expired")),
    Row("token_revoked", 401, invalid("The credential was revoked")),
    Row("invalid_credentials", 401, None),
    Row(
        "insufficient_permissions",
        403,
        f'{LACKING}, scope="a b:c"',
        details={"required_scopes": ["a", "b:c"]},
    ),
    Row("https_required", 403, None),
    Row("not_found", 404, None),
    Row("conflict", 409, None),
    Row("key_limit_reached", 409, None),
    Row("malformed_json", 400, None),
    Row("body_too_large", 413, None),
    Row("validation_error", 422, None, details={"fields": {"name": "is too long"}}),
    Row("rate_limited", 429, None),
    Row("auth_unavailable", 503, None),
    Row("internal_error", 500, None),
]


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def ask_row(site: str, seeded: Seeded, row: Row, *lines: bytes) -> Answer:
    path = row.path.replace("<strangers_key_id>", seeded.strangers_key_id)
    path = path.replace("<revoked_key_id>", seeded.revoked_key_id)
    carried = seeded.lines(row.credential)
    return ask(site, path, *carried, *lines, method=row.method, body=body_of(row.body, seeded))


def body_of(body: bytes, seeded: Seeded) -> bytes:
    known = {
        b"<wrong password>": {"email": EMAIL, "password": "not this one"},
        b"<unknown email>": {"email": "nobody@example.com", "password": "not this one"},
        b"<ended>": {"refresh_token": seeded.ended_refresh_token},
        b"<access>": {"refresh_token": seeded.token},
    }
    return json.dumps(known[body]).encode() if body in known else body


def assert_is(answer: Answer, row: Row) -> None:
    assert answer.status == row.status
    assert answer.header("www-authenticate") == row.challenge
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
    error = answer.error
    assert list(error) == (
        ["code", "message", "details", "request_id"] if row.details else ["code", "message", "request_id"]
    )
    assert error["code"] == row.code
    assert error["message"]
    assert error.get("details") == row.details
    assert error["request_id"] == answer.header("x-request-id")


@pytest.mark.parametrize("row", MET, ids=lambda row: f"{row.code} {row.method} {row.path} {row.credential}")
def test_a_refusal_met_at_a_door(site: str, seeded: Seeded, row: Row) -> None:
    assert_is(ask_row(site, seeded, row), row)


@pytest.mark.parametrize("row", RAISED, ids=lambda row: row.code)
def test_a_refusal_raised_in_an_endpoint_is_answered_in_the_same_form(
    site: str, seeded: Seeded, row: Row
) -> None:
    assert_is(ask(site, f"/raise/{row.code}", bearer(seeded.key)), row)


def test_the_table_of_refusals_is_whole() -> None:
    assert [row.code for row in RAISED] == [refusal.code for refusal in REFUSALS]


def test_429_tells_the_limit_and_when_to_come_back(site: str, seeded: Seeded) -> None:
    answer = ask(site, "/raise/rate_limited", bearer(seeded.key))

    told = {name: answer.header(name) for name in ("retry-after", "x-ratelimit-limit")}
    assert told == {"retry-after": "30", "x-ratelimit-limit": "5"}
    assert answer.header("x-ratelimit-remaining") == "0"
    assert answer.header("x-ratelimit-reset") == "30"


@pytest.mark.parametrize("row", [row for row in MET if row.method == "GET"], ids=lambda row: row.path)
def test_head_is_refused_as_get_is_without_the_body(site: str, seeded: Seeded, row: Row) -> None:
    fixed = b"X-Request-ID: the-same"
    got = ask_row(site, seeded, row, fixed)
    as_head = Row(row.code, row.status, row.challenge, "HEAD", row.path, row.credential)
    head = ask_row(site, seeded, as_head, fixed)

    assert head.body == b""
    assert (head.status, head.header("content-length")) == (got.status, got.header("content-length"))
    assert head.header("www-authenticate") == row.challenge
    assert head.header("x-request-id") == "the-same"


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(site: str, seeded: Seeded) -> None:
    fixed = b"X-Request-ID: the-same"
    wrong, unknown = [ask_row(site, seeded, row, fixed) for row in MET if row.code == "invalid_credentials"]

    assert wrong.body == unknown.body


def test_a_refusal_after_the_answer_began_breaks_it_off_and_adds_nothing(site: str, seeded: Seeded) -> None:
    answer = ask(site, "/raise/midway", bearer(seeded.key))

    assert answer.status == 200
    assert answer.body == b"5\r\nbegun\r\n"


def test_another_form_of_refusal_can_be_set(seeded: Seeded) -> None:
    settings = seeded.settings.replace(render_refusal=problem_details, realm="elsewhere")
    with serve(make_site(Auth(settings))) as url:
        answer = ask(url, "/api/v1/analysis/", bearer(seeded.narrow_key), b"X-Request-ID: abc")

    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("www-authenticate") == (
        'Bearer realm="elsewhere", error="insufficient_scope", scope="analysis:read"'
    )
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "The credential lacks a scope that is required here",
        "status": 403,
        "detail": "The credential lacks a scope that is required here",
        "code": "insufficient_permissions",
        "request_id": "abc",
        "details": {"required_scopes": ["analysis:read"]},
    }
