"""AuthMiddleware around an app: what the app sees, and what never reaches it."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from callcov_auth import ANONYMOUS, Auth, AuthMiddleware, current_principal
from callcov_auth.errors import AuthUnavailable, InsufficientPermissions, problem_details
from callcov_auth.store.sql import SqlStore
from tests.support.asgi import connect, request, scope_of
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

RESPONSE_EXTENSION = {"extensions": {"websocket.http.response": {}}}


class Seen:
    """A plain ASGI app that notes what it was called with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.principals: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.principals.append(current_principal())
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def app() -> Seen:
    return Seen()


async def token_header(auth: Auth, *scopes: str) -> list[tuple[str, str]]:
    return [("Authorization", "Bearer " + await auth.tokens.issue("usr_1", scopes=scopes))]


async def test_the_app_sees_who_calls(auth: Auth, app: Seen) -> None:
    headers = await token_header(auth, "calls:read")
    answer = await request(AuthMiddleware(app, auth=auth), "/x", headers)
    assert (answer.status, answer.body) == (200, b"ok")
    [scope], [principal] = app.scopes, app.principals
    assert principal.subject == "usr_1"
    assert scope["state"] == {"principal": principal, "scopes": frozenset({"calls:read"})}
    assert scope["user"] is principal
    assert "calls:read" in scope["auth"].scopes


async def test_state_that_is_there_is_kept(auth: Auth, app: Seen) -> None:
    state = {"db": "pool"}
    await request(AuthMiddleware(app, auth=auth), "/x", await token_header(auth), state=state)
    assert app.scopes[0]["state"] is state
    assert set(state) == {"db", "principal", "scopes"}


async def test_a_hit_is_the_same_principal(auth: Auth, app: Seen) -> None:
    headers = await token_header(auth)
    for _ in range(2):
        await request(AuthMiddleware(app, auth=auth), "/x", headers)
    assert app.principals[0] is app.principals[1]


async def test_nothing_of_a_caller_is_left_after_the_request(auth: Auth, app: Seen) -> None:
    await request(AuthMiddleware(app, auth=auth), "/x", await token_header(auth))
    with pytest.raises(RuntimeError, match="AuthMiddleware is not mounted"):
        current_principal()


async def test_a_refused_request_does_not_reach_the_app(auth: Auth, app: Seen) -> None:
    guarded = AuthMiddleware(app, auth=auth)
    for headers in ([], [("Authorization", "Bearer x")], [("Authorization", "Basic x")]):
        assert (await request(guarded, "/x", headers)).status == 401
    assert app.scopes == []


async def test_other_scope_types_pass_through_untouched(auth: Auth) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        return None

    scope = {"type": "webtransport"}
    await AuthMiddleware(app, auth=auth)(scope, receive, send)
    assert seen == [({"type": "webtransport"}, receive, send)]


async def test_it_takes_settings_or_an_auth(app: Seen) -> None:
    settings = make_settings()
    assert AuthMiddleware(app, settings=settings).auth.settings is settings
    for arguments in ({}, {"settings": settings, "auth": Auth(settings)}):
        with pytest.raises(TypeError, match="either"):
            AuthMiddleware(app, **arguments)


async def test_plain_http_is_refused_whatever_else(auth: Auth, app: Seen) -> None:
    guarded = AuthMiddleware(app, auth=auth)
    for path, headers in (("/x", await token_header(auth)), ("/x", []), ("/api/v1/auth/login", [])):
        answer = await request(guarded, path, headers, scheme="http")
        assert (answer.status, answer.code) == (403, "https_required")
        assert "location" not in answer.headers
    assert app.scopes == []


class OpenPaths:
    """Public and optional paths, with no credential and with a bad one."""

    BAD = (("Authorization", "Bearer sk_live_bad"),)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/public", (), 200),
        ("/optional", (), 200),
        ("/closed", (), 401),
        ("/public", OpenPaths.BAD, 401),
        ("/optional", OpenPaths.BAD, 200),
        ("/closed", OpenPaths.BAD, 401),
    ],
)
async def test_open_paths(app: Seen, path: str, headers: Any, status: int) -> None:
    async with Auth(make_settings(public_paths=["/public"], optional_paths=["/optional"])) as auth:
        answer = await request(AuthMiddleware(app, auth=auth), path, headers)
        assert answer.status == status
        assert app.principals == ([ANONYMOUS] if status == 200 else [])


async def test_a_good_credential_counts_on_open_paths_too(app: Seen) -> None:
    async with Auth(make_settings(public_paths=["/public"], optional_paths=["/optional"])) as auth:
        for path in ("/public", "/optional"):
            await request(AuthMiddleware(app, auth=auth), path, await token_header(auth))
        assert [principal.subject for principal in app.principals] == ["usr_1"] * 2


class Down(SqlStore):
    """A store that opens and then fails as it is told."""

    error: Exception = AuthUnavailable(reason="store_OperationalError", retry_after=7)

    async def keys_by_digest(self, digests, salted_prefixes=()):  # type: ignore[no-untyped-def]
        raise self.error


async def genuine_key(auth: Auth) -> list[tuple[str, str]]:
    from callcov_auth.keys.format import mint

    return [("Authorization", "Bearer " + mint(auth.settings.key_mac_key, "live"))]


@pytest.mark.parametrize("path", ["/closed", "/public", "/optional"])
async def test_what_cannot_be_decided_is_503_everywhere(app: Seen, path: str) -> None:
    settings = make_settings(public_paths=["/public"], optional_paths=["/optional"])
    async with Auth(settings, store=Down("sqlite://")) as auth:
        answer = await request(AuthMiddleware(app, auth=auth), path, await genuine_key(auth))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "auth_unavailable", "7")
    assert app.scopes == []


async def test_a_bug_is_500_and_shows_nothing(app: Seen, caplog: pytest.LogCaptureFixture) -> None:
    store = Down("sqlite://")
    store.error = ZeroDivisionError("the inside story")
    async with Auth(make_settings(), store=store) as auth:
        headers = [*await genuine_key(auth), ("X-Request-ID", "req-1")]
        answer = await request(AuthMiddleware(app, auth=auth), "/x", headers)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"inside story" not in answer.body
    assert "internal_error request_id=req-1" in caplog.text
    assert app.scopes == []


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (["req-1"], True),
        (["a" * 128], True),
        (["A.b_c-9"], True),
        (["a" * 129], False),
        (["a b"], False),
        (["a\r\nX: y"], False),
        ([""], False),
        (["a", "a"], False),
        ([], False),
    ],
)
async def test_the_request_id_is_the_requests_own_where_it_is_fit(
    auth: Auth, app: Seen, sent: list[str], echoed: bool
) -> None:
    answer = await request(AuthMiddleware(app, auth=auth), "/x", [("X-Request-ID", value) for value in sent])
    request_id = answer.json()["error"]["request_id"]
    assert answer.headers["x-request-id"] == request_id
    assert (request_id == sent[0] if sent else False) is echoed
    assert len(request_id) > 0


async def test_a_refusal_is_logged_with_its_inner_reason(
    auth: Auth, app: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    headers = [("Authorization", "Bearer sk_live_x"), ("X-Request-ID", "req-1")]
    await request(AuthMiddleware(app, auth=auth), "/x\n?secret=1", headers)
    [record] = caplog.records
    assert record.getMessage() == (
        "refused code='invalid_token' reason='key_malformed' request_id='req-1' client='127.0.0.1' "
        "method='GET' path='/x\\n' key_id=None owner=None"
    )


async def test_where_nobody_hears_of_refusals_they_are_the_same(
    auth: Auth, app: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [("Authorization", "Bearer sk_live_x"), ("X-Request-ID", "req-1")]
    caplog.set_level("INFO", "callcov_auth")
    heard = await request(AuthMiddleware(app, auth=auth), "/x", headers)
    caplog.clear()
    caplog.set_level("WARNING", "callcov_auth")
    unheard = await request(AuthMiddleware(app, auth=auth), "/x", headers)
    assert (unheard.status, unheard.body, unheard.headers) == (heard.status, heard.body, heard.headers)
    assert caplog.records == []


async def test_another_form_of_refusal(app: Seen) -> None:
    async with Auth(make_settings(render_refusal=problem_details)) as auth:
        answer = await request(AuthMiddleware(app, auth=auth), "/x")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "missing_token"


async def test_a_form_that_fails_leaves_the_refusal_standing(
    app: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: Exception, request_id: str) -> Any:
        raise KeyError("x")

    async with Auth(make_settings(render_refusal=broken)) as auth:
        answer = await request(AuthMiddleware(app, auth=auth), "/x")
    assert (answer.status, answer.code) == (401, "missing_token")
    assert "render_refusal failed" in caplog.text


async def test_head_is_refused_without_a_body(auth: Auth, app: Seen) -> None:
    answer = await request(AuthMiddleware(app, auth=auth), "/x", method="HEAD")
    assert (answer.status, answer.body) == (401, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_websocket_is_refused_with_a_response_where_the_server_can(auth: Auth, app: Seen) -> None:
    start, body = await connect(AuthMiddleware(app, auth=auth), "/x", **RESPONSE_EXTENSION)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"www-authenticate", b'Bearer realm="callcov"') in start["headers"]
    assert body["type"] == "websocket.http.response.body"
    assert b"missing_token" in body["body"]
    assert app.scopes == []


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {"tls": {}}}])
async def test_a_websocket_is_closed_with_1008_elsewhere(auth: Auth, app: Seen, extensions: Any) -> None:
    sent = await connect(AuthMiddleware(app, auth=auth), "/x", **extensions)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "missing_token"}]


async def test_an_offered_credential_is_taken_and_only_bearer_is_echoed(app: Seen) -> None:
    async with Auth(make_settings(websocket_protocol=True)) as auth:
        token = await auth.tokens.issue("usr_1")
        offered = ["bearer", token]
        line = [("Sec-WebSocket-Protocol", ", ".join(offered))]
        sent = await connect(AuthMiddleware(app, auth=auth), "/x", line, subprotocols=offered)
    assert sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]
    assert app.principals[0].subject == "usr_1"
    assert token not in str(app.scopes)


async def test_the_apps_own_choice_of_a_subprotocol_stands() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        await send({"type": "websocket.close"})

    async with Auth(make_settings(websocket_protocol=True)) as auth:
        offered = ["chat", "bearer", await auth.tokens.issue("usr_1")]
        sent = await connect(AuthMiddleware(app, auth=auth), "/x", subprotocols=offered)
    assert sent == [{"type": "websocket.accept", "subprotocol": "chat"}, {"type": "websocket.close"}]


async def test_a_websocket_with_a_header_is_left_as_it_is(app: Seen) -> None:
    async with Auth(make_settings(websocket_protocol=True)) as auth:
        headers = await token_header(auth)
        sent = await connect(AuthMiddleware(app, auth=auth), "/x", headers, subprotocols=["chat"])
    assert sent == [{"type": "websocket.accept"}]
    assert app.scopes[0]["subprotocols"] == ["chat"]


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    raise InsufficientPermissions("calls:write")


async def test_an_error_raised_in_an_endpoint_is_answered(auth: Auth) -> None:
    answer = await request(AuthMiddleware(raising, auth=auth), "/x", await token_header(auth))
    assert (answer.status, answer.code) == (403, "insufficient_permissions")
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="callcov", error="insufficient_scope", scope="calls:write"'
    )


async def test_an_error_raised_before_accept_refuses_the_websocket(auth: Auth) -> None:
    guarded = AuthMiddleware(raising, auth=auth)
    start, _ = await connect(guarded, "/x", await token_header(auth), **RESPONSE_EXTENSION)
    assert start["status"] == 403


class StrictServer:
    """Takes messages as servers do: no second start, no HTTP answer on an accepted WebSocket."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def __call__(self, message: Message) -> None:
        if message["type"].endswith(".start") and self.sent:
            raise RuntimeError("Unexpected ASGI message")
        self.sent.append(message["type"])


async def receive_nothing() -> Message:
    return {"type": "http.disconnect"}


async def test_an_error_raised_in_mid_answer_goes_on_to_the_server(auth: Auth) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise InsufficientPermissions("calls:write")

    server = StrictServer()
    scope = scope_of("http", "/x", await token_header(auth))
    with pytest.raises(InsufficientPermissions):
        await AuthMiddleware(app, auth=auth)(scope, receive_nothing, server)
    assert server.sent == ["http.response.start"]


async def test_an_error_raised_after_accept_closes_the_websocket(auth: Auth) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise InsufficientPermissions("calls:write")

    server = StrictServer()
    scope = scope_of("websocket", "/x", await token_header(auth), **RESPONSE_EXTENSION)
    await AuthMiddleware(app, auth=auth)(scope, receive_nothing, server)
    assert server.sent == ["websocket.accept", "websocket.close"]


async def test_other_errors_of_the_app_are_none_of_our_business(auth: Auth) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await request(AuthMiddleware(app, auth=auth), "/x", await token_header(auth))


async def test_starlettes_own_requires_and_request_work_unchanged(auth: Auth) -> None:
    @starlette_requires(["authenticated", "calls:read"])
    async def endpoint(request: Request) -> JSONResponse:
        assert request.state.principal is request.user
        assert request.state.scopes == {"calls:*"}
        return JSONResponse([request.user.display_name, request.user.is_authenticated])

    @starlette_requires("users:read")
    async def closed(request: Request) -> JSONResponse:
        raise AssertionError

    @starlette_requires("calls:read")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = Starlette(routes=[Route("/x", endpoint), Route("/closed", closed), WebSocketRoute("/live", live)])
    guarded = AuthMiddleware(app, auth=auth)
    headers = await token_header(auth, "calls:*")
    assert (await request(guarded, "/x", headers)).json() == ["usr_1", True]
    assert (await request(guarded, "/closed", headers)).status == 403
    assert (await connect(guarded, "/live", headers))[0]["type"] == "websocket.accept"
