"""The package's own routes, behind the middleware and without it."""

import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth.fastapi import router
from callcov_auth.store.protocol import User
from tests.support.asgi import Answer, post, request
from tests.support.clock import Clock
from tests.support.settings import make_settings
from tests.support.tokens import Forge

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"
LOGIN = {"email": "user@example.com", "password": PASSWORD}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", PASSWORD, scopes=["calls:*", "users:read"])


@pytest.fixture(params=["behind the middleware", "on their own"])
def app(request: pytest.FixtureRequest, auth: Auth) -> ASGIApp:
    routes = Starlette(routes=auth_routes(auth))
    return AuthMiddleware(routes, auth=auth) if request.param == "behind the middleware" else routes


@pytest.fixture
async def token(auth: Auth, user: User) -> str:
    return (await auth.tokens.login(user.email, PASSWORD)).access_token.get_secret_value()


async def get(app: ASGIApp, path: str, token: str, method: str = "GET") -> Answer:
    return await request(app, path, [("Authorization", f"Bearer {token}")], method=method)


async def create(app: ASGIApp, token: str, **fields: Any) -> dict[str, Any]:
    answer = await post(app, "/api/v1/api-keys/", {"name": "k", **fields}, token)
    assert answer.status == 201
    created: dict[str, Any] = answer.json()
    return created


async def test_login_answers_the_seeds_four_fields(app: ASGIApp, user: User) -> None:
    answer = await post(app, "/api/v1/auth/login", LOGIN)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 1800)


async def test_refresh_answers_the_same_refresh_token(app: ASGIApp, user: User) -> None:
    first = (await post(app, "/api/v1/auth/login", LOGIN)).json()
    for _ in range(2):
        answer = await post(app, "/api/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json()["refresh_token"] == first["refresh_token"]
        assert (await get(app, "/api/v1/users/me", answer.json()["access_token"])).status == 200


@pytest.mark.parametrize("body", [b"", {}, "refresh"])
async def test_logout_ends_the_session(app: ASGIApp, user: User, body: Any) -> None:
    pair = (await post(app, "/api/v1/auth/login", LOGIN)).json()
    sent = {"refresh_token": pair["refresh_token"]} if body == "refresh" else body
    answer = await post(app, "/api/v1/auth/logout", sent, pair["access_token"])
    assert (answer.status, answer.json()) == (200, {"success": True, "message": "Logged out"})
    again = await post(app, "/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})
    assert (again.status, again.code) == (401, "token_revoked")


async def test_me(app: ASGIApp, user: User, token: str) -> None:
    answer = await get(app, "/api/v1/users/me", token)
    assert answer.status == 200
    created_at = answer.json().pop("created_at")
    assert RFC3339.fullmatch(created_at)
    assert answer.json() | {"created_at": ""} == {
        "id": user.id,
        "email": "user@example.com",
        "scopes": ["calls:*", "users:read"],
        "created_at": "",
    }


async def test_a_created_key_is_shown_once(app: ASGIApp, user: User, token: str) -> None:
    answer = await post(app, "/api/v1/api-keys/", {"name": "Production Server Key"}, token)
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    created = answer.json()
    assert set(created) == {
        "id",
        "name",
        "description",
        "api_key",
        "key_prefix",
        "environment",
        "segment",
        "scopes",
        "created_at",
        "expires_at",
    }
    assert re.fullmatch("sk_live_[0-9A-Za-z]{48}", created["api_key"])
    assert created["key_prefix"] == created["api_key"][:14]
    assert RFC3339.fullmatch(created["created_at"])
    shown = await get(app, f"/api/v1/api-keys/{created['id']}", token)
    listed = await get(app, "/api/v1/api-keys/", token)
    assert created["api_key"].encode() not in shown.body + listed.body
    assert listed.json()["api_keys"] == [shown.json()]


async def test_a_listed_key(app: ASGIApp, user: User, token: str) -> None:
    created = await create(app, token, description="d", environment="test", segment="dev", expires_in_days=7)
    shown = (await get(app, f"/api/v1/api-keys/{created['id']}", token)).json()
    kept = ("id", "name", "description", "key_prefix", "environment", "segment", "scopes", "created_at")
    assert {name: shown[name] for name in kept} == {name: created[name] for name in kept}
    assert RFC3339.fullmatch(shown["expires_at"])
    assert (shown["last_used_at"], shown["revoked_at"]) == (None, None)
    assert (shown["age_days"], shown["rotation_due"]) == (0, False)


async def test_a_key_is_due_for_rotation_after_ninety_days(
    app: ASGIApp, auth: Auth, user: User, token: str, clock: Clock
) -> None:
    created = await create(app, token)
    for days, due in ((89, False), (1, True)):
        clock.advance(days * 86400)
        fresh = await auth.tokens.issue(user.id)
        shown = (await get(app, f"/api/v1/api-keys/{created['id']}", fresh)).json()
        assert shown["rotation_due"] is due
    assert shown["age_days"] == 90


async def test_the_list_pages(app: ASGIApp, user: User, token: str) -> None:
    made = {(await create(app, token))["id"] for _ in range(5)}
    first = (await get(app, "/api/v1/api-keys?limit=3", token)).json()
    rest = (await get(app, f"/api/v1/api-keys?limit=3&cursor={first['next_cursor']}", token)).json()
    assert {key["id"] for key in first["api_keys"] + rest["api_keys"]} == made
    assert (len(first["api_keys"]), first["total"], rest["next_cursor"]) == (3, 5, None)


@pytest.mark.parametrize(
    ("query", "listed"),
    [("", 1), ("?include_expired=false", 1), ("?include_expired=0", 1), ("?include_expired=TRUE", 2)],
)
async def test_ended_keys_are_listed_where_asked_for(
    app: ASGIApp, user: User, token: str, query: str, listed: int
) -> None:
    await create(app, token)
    ended = await create(app, token)
    await get(app, f"/api/v1/api-keys/{ended['id']}", token, method="DELETE")
    assert len((await get(app, f"/api/v1/api-keys/{query}", token)).json()["api_keys"]) == listed


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=99999999999", "limit"),
        ("limit=007", "limit"),
        ("limit=%2B7", "limit"),
        ("limit=%D9%A7", "limit"),
        ("include_expired=maybe", "include_expired"),
        ("cursor=junk", "cursor"),
        ("cursor=" + "x" * 257, "cursor"),
        ("cursor=%C3%A9", "cursor"),
    ],
)
async def test_a_wrong_query_is_named(app: ASGIApp, token: str, query: str, named: str) -> None:
    answer = await get(app, f"/api/v1/api-keys/?{query}", token)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert set(answer.json()["error"]["details"]["fields"]) == {named}


@pytest.mark.parametrize(("days", "status"), [(30.0, 201), (30.5, 422), ("30", 422), (True, 422)])
async def test_a_number_without_a_fraction_is_whole(app: ASGIApp, token: str, days: Any, status: int) -> None:
    answer = await post(app, "/api/v1/api-keys/", {"name": "k", "expires_in_days": days}, token)
    assert answer.status == status


@pytest.mark.parametrize("door", [lambda auth: auth_routes(auth), lambda auth: router(auth).routes])
@pytest.mark.parametrize("end", ["", "/"])
async def test_every_method_of_a_path_is_named_to_who_asks_for_another(
    auth: Auth, door: Any, end: str
) -> None:
    app = Starlette(routes=door(auth))
    for path, methods in (("/api-keys", {"GET", "POST"}), ("/api-keys/key_1", {"GET", "DELETE"})):
        answer = await request(app, f"/api/v1{path}{end}", method="PATCH")
        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == methods


async def test_revoking_is_idempotent(app: ASGIApp, user: User, token: str) -> None:
    created = await create(app, token)
    for _ in range(2):
        answer = await get(app, f"/api/v1/api-keys/{created['id']}", token, method="DELETE")
        assert (answer.status, answer.json()) == (
            200,
            {"success": True, "message": "The API key was revoked"},
        )
    shown = (await get(app, f"/api/v1/api-keys/{created['id']}", token)).json()
    assert RFC3339.fullmatch(shown["revoked_at"])


@pytest.mark.parametrize("body", [b"", {"grace_seconds": 60}])
async def test_rotation_answers_as_creation_does(app: ASGIApp, user: User, token: str, body: Any) -> None:
    created = await create(app, token, scopes=["calls:read"])
    answer = await post(app, f"/api/v1/api-keys/{created['id']}/rotate", body, token)
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    rotated = answer.json()
    assert set(rotated) == set(created)
    assert (rotated["name"], rotated["scopes"]) == ("k", ["calls:read"])
    assert rotated["api_key"] != created["api_key"]


async def test_anothers_key_is_not_there(app: ASGIApp, auth: Auth, user: User, token: str) -> None:
    other = await auth.users.create("other@example.com", PASSWORD)
    theirs = await auth.keys.create(other.id, name="theirs")
    for key_id in (theirs.id, "key_none"):
        for method in ("GET", "DELETE"):
            answer = await get(app, f"/api/v1/api-keys/{key_id}", token, method=method)
            assert (answer.status, answer.code) == (404, "not_found")
        answer = await post(app, f"/api/v1/api-keys/{key_id}/rotate", {}, token)
        assert answer.status == 404
    assert (await auth.keys.get(theirs.id)).revoked_at is None


CLOSED = [
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/api-keys/"),
    ("GET", "/api/v1/api-keys/"),
    ("GET", "/api/v1/api-keys/key_1"),
    ("DELETE", "/api/v1/api-keys/key_1"),
    ("POST", "/api/v1/api-keys/key_1/rotate"),
    ("GET", "/api/v1/users/me"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_a_token_is_needed(app: ASGIApp, auth: Auth, user: User, method: str, path: str) -> None:
    answer = await request(app, path, method=method)
    assert (answer.status, answer.code) == (401, "missing_token")
    key = await auth.keys.create(user.id, name="k")
    answer = await get(app, path, key.api_key.get_secret_value(), method=method)
    assert (answer.status, answer.code) == (403, "insufficient_permissions")
    assert answer.headers["www-authenticate"] == 'Bearer realm="callcov", error="insufficient_scope"'


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_a_public_path_opens_no_endpoint(auth: Auth, method: str, path: str) -> None:
    open_everywhere = Auth(make_settings(public_paths=["/api/*"]), store=auth.store)
    app = AuthMiddleware(Starlette(routes=auth_routes(open_everywhere)), auth=open_everywhere)
    answer = await request(app, path, method=method)
    assert (answer.status, answer.code) == (401, "missing_token")


async def test_another_issuers_subject_is_no_user_of_ours(auth: Auth, user: User) -> None:
    elsewhere = Auth(auth.settings.replace(issuer="elsewhere"), store=auth.store)
    await elsewhere.open()
    app = AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=elsewhere)
    token = Forge(elsewhere).token(claims=Forge(elsewhere).claims(iss="elsewhere", sub=user.id))
    answer = await get(app, "/api/v1/users/me", token)
    assert (answer.status, answer.code) == (403, "insufficient_permissions")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b'{"email": "a@b.cd", "email": "a@b.cd", "password": "x"}', 400, "malformed_json"),
        (b'{"email": NaN}', 400, "malformed_json"),
        (b"[" * 10_000, 400, "malformed_json"),
        (b"[]", 422, "validation_error"),
        (b'"text"', 422, "validation_error"),
        ({"email": "user@example.com"}, 422, "validation_error"),
        ({"email": 7, "password": ["x"]}, 422, "validation_error"),
        (LOGIN | {"remember": True}, 422, "validation_error"),
        (b" " * 65_537, 413, "body_too_large"),
        (LOGIN | {"password": "wrong"}, 401, "invalid_credentials"),
    ],
)
async def test_what_login_refuses(app: ASGIApp, user: User, body: Any, status: int, code: str) -> None:
    answer = await post(app, "/api/v1/auth/login", body)
    assert (answer.status, answer.code) == (status, code)
    assert "www-authenticate" not in answer.headers


async def test_wrong_fields_are_named_and_their_values_are_not(app: ASGIApp) -> None:
    answer = await post(app, "/api/v1/auth/login", {"email": "hunter22", "password": ["hunter22"]})
    assert set(answer.json()["error"]["details"]["fields"]) == {"email", "password"}
    assert b"hunter22" not in answer.body


async def test_a_body_is_refused_by_what_it_declares_and_by_what_comes(app: ASGIApp) -> None:
    declared = await request(
        app, "/api/v1/auth/login", [("Content-Length", "65537")], body=b"{}", method="POST"
    )
    assert (declared.status, declared.code) == (413, "body_too_large")
    chunked = await request(app, "/api/v1/auth/login", body=[b" " * 40_000, b" " * 40_000], method="POST")
    assert (chunked.status, chunked.code) == (413, "body_too_large")
    fits = await request(app, "/api/v1/auth/login", body=[b" " * 32_000, b" " * 33_536], method="POST")
    assert fits.status == 400


async def test_scopes_beyond_the_tokens_are_refused(app: ASGIApp, auth: Auth, user: User) -> None:
    narrow = await auth.tokens.issue(user.id, scopes=["calls:read"])
    assert (await create(app, narrow))["scopes"] == ["calls:read"]
    answer = await post(app, "/api/v1/api-keys/", {"name": "k", "scopes": ["users:read"]}, narrow)
    assert (answer.status, answer.code) == (403, "insufficient_permissions")


async def test_one_key_more_than_the_limit(app: ASGIApp, token: str) -> None:
    for _ in range(10):
        await create(app, token)
    answer = await post(app, "/api/v1/api-keys/", {"name": "k"}, token)
    assert (answer.status, answer.code) == (409, "key_limit_reached")


@pytest.mark.parametrize("path", ["/api/v1/users/me/", "/api/v1/api-keys", "/api/v1/api-keys/"])
async def test_a_trailing_slash_is_optional_and_never_redirects(app: ASGIApp, token: str, path: str) -> None:
    assert (await get(app, path, token)).status == 200


async def test_plain_http_is_refused_without_the_middleware_too(auth: Auth) -> None:
    app = Starlette(routes=auth_routes(auth))
    answer = await request(app, "/api/v1/auth/login", method="POST", scheme="http")
    assert (answer.status, answer.code) == (403, "https_required")


async def test_the_routes_stand_under_the_prefix(clock: Clock) -> None:
    async with Auth(make_settings(api_prefix="/x"), clock=clock) as auth:
        await auth.users.create("user@example.com", PASSWORD)
        app = AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=auth)
        assert (await post(app, "/x/auth/login/", LOGIN)).status == 200


async def test_a_bug_in_an_endpoint_is_500(app: ASGIApp, auth: Auth, token: str, monkeypatch: Any) -> None:
    async def broken(user_id: str) -> User:
        raise ZeroDivisionError("the inside story")

    monkeypatch.setattr(auth.users, "get", broken)
    answer = await get(app, "/api/v1/users/me", token)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"inside story" not in answer.body


async def test_a_client_that_goes_away_is_not_answered(app: ASGIApp) -> None:
    from starlette.requests import ClientDisconnect
    from starlette.types import Message

    from tests.support.asgi import scope_of

    sent = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ClientDisconnect):
        await app(scope_of("http", "/api/v1/auth/login", method="POST"), receive, send)
    assert [message for message in sent if message.get("status") != 500 and "status" in message] == []
