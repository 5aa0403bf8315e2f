"""Public and optional paths on the wire; whatever is doubtful is closed."""

import json
from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.server.socket_client import be_refused, hear
from tests.support.raw_http import ask
from tests.support.servers import serve

ANONYMOUS = {
    "subject": "",
    "kind": "anonymous",
    "scopes": [],
    "user": "",
    "authenticated": False,
    "reads": False,
    "current": True,
}


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    """Public: /health and /docs/*. Optional: /maybe and /guests/*."""
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def test_our_key_set_is_open(site: str) -> None:
    answer = ask(site, "/.well-known/jwks.json")
    assert (answer.status, answer.body) == (200, b'{"keys": []}')


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/health?access_token=x",
        "/%68ealth",
        "/docs/",
        "/docs/a",
        "/docs/a/b.html",
        "/docs/a%2Fb",
        "/docs/.hidden",
        "/docs/a..b",
        "/docs/caf%C3%A9",
        "/maybe",
        "/guests/a",
    ],
)
def test_an_open_path_is_anonymous_without_a_credential(site: str, path: str) -> None:
    answer = ask(site, path)

    assert answer.status == 200
    assert json.loads(answer.body).items() >= ANONYMOUS.items()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health/",
        "/healthy",
        "/Health",
        "/health/../x",
        "/health%20",
        "/health%00",
        "/health;x",
        "/docs",
        "/docsx",
        "/Docs/a",
        "/docs%2525/a",
        "//docs/a",
        "/docs//a",
        "/docs/../api/v1/analysis/",
        "/docs/a/../../x",
        "/docs/..",
        "/docs/.",
        "/docs/./a",
        "/docs/%2e%2e/x",
        "/docs/%2E%2E/x",
        "/docs/..%2Fx",
        "/docs/.%2e/x",
        "/docs/%2e/x",
        "/docs/%252e%252e/x",
        "/docs/%252e%252e%252fx",
        "/docs/%2525",
        "/docs/..%5Cx",
        "/docs/a%5Cb",
        "/docs/%00",
        "/docs/a%0Ab",
        "/docs/a%0D%0Ab",
        "/docs/%7F",
        "/x/docs/a",
        "/maybe/",
        "/guests",
        "/guests/../x",
        "/guests/%2e%2e/x",
        "/api/v1/auth/login/x",
        "/api/v1/auth/login/../../analysis/",
        "/api/v1/auth/loginx",
        "/api/v1/auth/logout",
        "/api/v2/auth/login",
        "/auth/login",
        "/.well-known/jwks.json/../x",
        "/.well-known/",
    ],
)
def test_every_other_path_is_closed(site: str, path: str) -> None:
    answer = ask(site, path)

    assert (answer.status, answer.error["code"]) == (401, "missing_token")


@pytest.mark.parametrize("target", ["http://localhost/docs/../x", "http://localhost/api/v1/analysis/", "*"])
def test_other_forms_of_a_request_target_open_nothing(site: str, target: str) -> None:
    method = "OPTIONS" if target == "*" else "GET"

    assert ask(site, target, method=method).status in (400, 401)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_open_path_is_open_in_every_method(site: str, method: str) -> None:
    assert ask(site, "/docs/a", method=method).status == 200


@pytest.mark.parametrize("path", ["/health", "/docs/a", "/maybe", "/guests/a"])
@pytest.mark.parametrize("credential", ["key", "token"])
def test_a_good_credential_counts_on_an_open_path(
    site: str, seeded: Seeded, path: str, credential: str
) -> None:
    answer = ask(site, path, *seeded.lines(credential))

    assert (answer.status, json.loads(answer.body)["subject"]) == (200, seeded.owner_id)


BAD = {
    "junk": ("junk", "invalid_token"),
    "an expired token": ("expired_token", "token_expired"),
    "an expired key": ("expired_key", "token_expired"),
    "a revoked key": ("revoked_key", "token_revoked"),
    "a refresh token": ("refresh_token", "invalid_token"),
}
MALFORMED = {
    "another scheme": [b"Authorization: Basic dXNlcjpwYXNz"],
    "an empty header": [b"Authorization:"],
    "two headers": [b"Authorization: Bearer a", b"Authorization: Bearer b"],
}


@pytest.mark.parametrize("path", ["/health", "/docs/a", "/api/v1/auth/login"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_credential_is_refused_on_a_public_path(site: str, seeded: Seeded, path: str, bad: str) -> None:
    name, code = BAD[bad]
    answer = ask(site, path, *seeded.lines(name))

    assert (answer.status, answer.error["code"]) == (401, code)


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_header_is_refused_on_a_public_path_and_counts_as_none_on_an_optional_one(
    site: str, malformed: str
) -> None:
    public = ask(site, "/health", *MALFORMED[malformed])
    optional = ask(site, "/maybe", *MALFORMED[malformed])

    assert (public.status, public.error["code"]) == (401, "invalid_token")
    assert (optional.status, json.loads(optional.body)["kind"]) == (200, "anonymous")


@pytest.mark.parametrize("path", ["/maybe", "/guests/a"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_credential_counts_as_none_on_an_optional_path(
    site: str, seeded: Seeded, path: str, bad: str
) -> None:
    answer = ask(site, path, *seeded.lines(BAD[bad][0]))

    assert (answer.status, json.loads(answer.body)["kind"]) == (200, "anonymous")


@pytest.mark.parametrize("path", ["/guests/../x", "/guests/%2e%2e/x", "/guests//x", "/maybe/"])
def test_a_bad_credential_is_refused_where_the_path_is_doubtful(site: str, seeded: Seeded, path: str) -> None:
    assert ask(site, path, *seeded.lines("expired_token")).error["code"] == "token_expired"


def test_requires_asks_an_anonymous_caller_for_a_credential(site: str, seeded: Seeded) -> None:
    anonymous = ask(site, "/docs/private")

    assert (anonymous.status, anonymous.error["code"]) == (401, "missing_token")
    assert anonymous.header("www-authenticate") == 'Bearer realm="callcov"'
    assert ask(site, "/docs/private", *seeded.lines("key")).status == 200


def test_a_websocket_follows_the_same_paths(seeded: Seeded) -> None:
    settings = seeded.settings.replace(public_paths=["/ws"], optional_paths=["/ws/reads"])
    with serve(make_site(Auth(settings))) as site:
        assert hear(site, "/ws")["kind"] == "anonymous"
        assert be_refused(site, "/ws", *seeded.lines("junk")).error["code"] == "invalid_token"
        assert be_refused(site, "/ws/reads", *seeded.lines("junk")).error["code"] == "missing_token"
        assert be_refused(site, "/ws/chat").error["code"] == "missing_token"
