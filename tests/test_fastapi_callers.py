"""``Authenticated`` and ``Scoped``: with the middleware, without it, in OpenAPI, and replaced in tests."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from callcov_auth import Auth, AuthMiddleware, Principal, requires
from callcov_auth.credential import Credential
from callcov_auth.errors import NotFound
from callcov_auth.fastapi import REFUSALS, Authenticated, Scoped, authenticated, router, scoped
from callcov_auth.store.protocol import User
from callcov_auth.store.sql import SqlStore
from tests.support.asgi import request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"


@pytest.fixture
async def store() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


@pytest.fixture
async def auth(clock: Clock, store: FaultyStore) -> AsyncIterator[Auth]:
    settings = make_settings(public_paths=["/open"], negative_ttl=0, revocable_access_tokens=True)
    async with Auth(settings, store=store, clock=clock) as opened:
        yield opened


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", PASSWORD, scopes=["calls:read"])


@pytest.fixture
async def credential(auth: Auth, user: User) -> str:
    return "Bearer " + (await auth.tokens.login(user.email, PASSWORD)).access_token.get_secret_value()


def add_routes(app: FastAPI) -> None:
    @app.get("/who", responses=REFUSALS)
    async def who(caller: Authenticated) -> dict[str, Any]:
        return {"subject": caller.subject, "kind": caller.kind}

    @app.get("/reads")
    async def reads(caller: Scoped("calls:read")) -> dict[str, str]:
        return {"subject": caller.subject}

    @app.get("/both")
    async def both(
        anybody: Authenticated, reader: Scoped("calls:read"), again: Scoped("calls:read", "calls:*")
    ) -> dict[str, bool]:
        return {"same": anybody is reader is again}

    @app.get("/typed")
    async def typed(caller: Annotated[Principal, Security(scoped, scopes=["calls:write"])]) -> dict[str, str]:
        return {"subject": caller.subject}

    @app.get("/sync")
    def sync(caller: Authenticated) -> dict[str, str]:
        return {"subject": caller.subject}

    @app.get("/open")
    async def opened(caller: Authenticated) -> dict[str, str]:
        return {"subject": caller.subject}

    @app.get("/gone")
    async def gone(caller: Authenticated) -> None:
        raise NotFound("There is no such call")

    @app.get("/free")
    async def free() -> dict[str, str]:
        return {"anybody": "may"}


@pytest.fixture
def bare(auth: Auth) -> FastAPI:
    """An app without the middleware: its routes are protected one by one."""
    app = FastAPI()
    app.include_router(router(auth))
    add_routes(app)
    return app


@pytest.fixture
def guarded(auth: Auth) -> FastAPI:
    """An app with the middleware around it."""
    app = FastAPI()
    add_routes(app)
    app.add_middleware(AuthMiddleware, auth=auth)
    return app


@pytest.fixture(params=["bare", "guarded"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    found: FastAPI = request.getfixturevalue(request.param)
    return found


async def get(app: FastAPI, path: str, credential: str | None = None) -> Any:
    return await request(app, path, [] if credential is None else [("Authorization", credential)])


@pytest.mark.parametrize("path", ["/who", "/reads", "/sync", "/open"])
async def test_the_caller_is_handed_out(app: FastAPI, user: User, credential: str, path: str) -> None:
    answer = await get(app, path, credential)
    assert (answer.status, answer.json()["subject"]) == (200, user.id)


async def test_an_api_key_is_a_caller_too(app: FastAPI, auth: Auth, user: User) -> None:
    key = await auth.keys.create(user.id, name="k")
    answer = await get(app, "/who", f"Bearer {key.api_key.get_secret_value()}")
    assert answer.json() == {"subject": user.id, "kind": "api_key"}


@pytest.mark.parametrize("path", ["/who", "/reads", "/sync", "/open"])
async def test_without_a_credential_it_is_refused_in_our_form(app: FastAPI, path: str) -> None:
    answer = await get(app, path)
    assert (answer.status, answer.code) == (401, "missing_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="callcov"'
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


@pytest.mark.parametrize(
    "sent", ["Bearer junk", "Bearer sk_live_junk", "Basic eA==", "Bearer a.b.c", "Bearer"]
)
async def test_a_bad_credential_is_refused_in_our_form(app: FastAPI, sent: str) -> None:
    answer = await get(app, "/who", sent)
    assert (answer.status, answer.code) == (401, "invalid_token")


async def test_a_lacking_scope_is_named(app: FastAPI, auth: Auth, credential: str) -> None:
    answer = await get(app, "/typed", credential)
    assert (answer.status, answer.code) == (403, "insufficient_permissions")
    assert answer.json()["error"]["details"] == {"required_scopes": ["calls:write"]}
    assert 'error="insufficient_scope", scope="calls:write"' in answer.headers["www-authenticate"]
    assert (await get(app, "/both", credential)).status == 403


async def test_a_refusal_raised_in_a_protected_route_is_answered_in_our_form(
    app: FastAPI, credential: str
) -> None:
    answer = await get(app, "/gone", credential)
    assert (answer.status, answer.code) == (404, "not_found")


async def test_what_cannot_be_known_is_unavailable(app: FastAPI, store: FaultyStore, credential: str) -> None:
    store.fail("session")
    answer = await get(app, "/who", credential)
    assert (answer.status, answer.code) == (503, "auth_unavailable")


async def test_a_route_without_the_dependency_is_free_only_where_there_is_no_middleware(
    bare: FastAPI, guarded: FastAPI
) -> None:
    assert (await get(bare, "/free")).status == 200
    assert (await get(guarded, "/free")).status == 401


async def test_a_request_is_authenticated_once_however_often_it_is_asked(
    app: FastAPI, auth: Auth, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await auth.users.set_scopes(user.id, ["calls:*"])
    pair = await auth.tokens.login(user.email, PASSWORD)
    asked = []
    at_sight = auth.at_sight

    def counted(authorization: bytes) -> Principal | Credential:
        asked.append(authorization)
        return at_sight(authorization)

    monkeypatch.setattr(auth, "at_sight", counted)
    answer = await get(app, "/both", "Bearer " + pair.access_token.get_secret_value())
    assert answer.json() == {"same": True}
    assert len(asked) == 1


async def test_what_the_caller_left_is_where_the_middleware_leaves_it(auth: Auth, credential: str) -> None:
    from starlette.requests import Request

    app = FastAPI()
    app.include_router(router(auth))

    @app.get("/")
    async def seen(request: Request, caller: Authenticated) -> dict[str, bool]:
        return {
            "state": request.state.principal is caller,
            "scopes": request.state.scopes == caller.scopes,
            "user": request.user is caller,
            "auth": "calls:read" in request.auth.scopes,
        }

    assert set((await get(app, "/", credential)).json().values()) == {True}


async def test_plain_http_is_refused_without_the_middleware_too(clock: Clock) -> None:
    async with Auth(make_settings(), clock=clock) as auth:
        app = FastAPI()
        app.include_router(router(auth))
        add_routes(app)
        answer = await request(app, "/who", [], scheme="http")
    assert (answer.status, answer.code) == (403, "https_required")


async def test_an_app_that_answers_refusals_in_its_own_way_goes_on_to(bare: FastAPI) -> None:
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse

    from callcov_auth import AuthError

    @bare.exception_handler(AuthError)
    async def own(_request: Request, error: AuthError) -> PlainTextResponse:
        return PlainTextResponse(error.code, 418)

    answer = await get(bare, "/who")
    assert (answer.status, answer.body) == (418, b"missing_token")


async def test_with_nothing_to_authenticate_with_it_says_what_to_do() -> None:
    app = FastAPI()
    add_routes(app)
    with pytest.raises(RuntimeError, match=r"include callcov_auth.fastapi.router\(auth\) in the app"):
        await get(app, "/who")


async def test_the_auth_of_a_router_within_a_router_is_found(auth: Auth, user: User, credential: str) -> None:
    from fastapi import APIRouter

    outer, app = APIRouter(), FastAPI()
    outer.include_router(router(auth))
    app.include_router(outer, prefix="/v2")
    add_routes(app)
    for _ in range(2):
        assert (await get(app, "/who", credential)).json()["subject"] == user.id


@pytest.mark.parametrize("scope", ["", "a b", 'a"', "é"])
def test_what_is_no_scope_is_seen_at_once(scope: str) -> None:
    with pytest.raises(ValueError, match="is no scope-token"):
        Scoped(scope)


async def test_a_test_may_replace_the_caller_and_scopes_are_still_asked_for(app: FastAPI) -> None:
    somebody = Principal("usr_test", "callcov", "token", frozenset({"calls:write"}))
    app.dependency_overrides[authenticated] = lambda: somebody
    # The middleware is around the app, and is not replaced by it.
    if app.user_middleware:
        app.user_middleware.clear()
    assert (await get(app, "/who")).json()["subject"] == "usr_test"
    assert (await get(app, "/typed")).json()["subject"] == "usr_test"
    app.dependency_overrides[scoped] = lambda: somebody
    assert (await get(app, "/reads")).json()["subject"] == "usr_test"


async def test_the_openapi_shows_both_schemes_and_the_scopes_of_each_route(bare: FastAPI) -> None:
    document = bare.openapi()
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {"bearer": "http", "login": "oauth2"}
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["login"]["flows"]["password"] == {"scopes": {}, "tokenUrl": "api/v1/auth/login"}
    paths = document["paths"]
    assert paths["/who"]["get"]["security"] == [{"bearer": []}, {"login": []}]
    assert paths["/reads"]["get"]["security"] == [{"bearer": ["calls:read"]}, {"login": ["calls:read"]}]
    assert paths["/typed"]["get"]["security"] == [{"bearer": ["calls:write"]}, {"login": ["calls:write"]}]
    assert "security" not in paths["/free"]["get"]
    assert "security" not in paths["/api/v1/auth/login"]["post"]
    assert paths["/api/v1/users/me"]["get"]["security"] == [{"bearer": []}, {"login": []}]


async def test_the_openapi_shows_the_refusals_with_their_body(bare: FastAPI) -> None:
    document = bare.openapi()
    refusals = document["paths"]["/who"]["get"]["responses"]
    assert set(refusals) == {"200", "401", "403", "429", "500", "503"}
    content = refusals["401"]["content"]["application/json"]
    assert set(content["examples"]) == {"missing_token", "invalid_token", "token_expired", "token_revoked"}
    assert content["schema"]["$ref"].endswith("/Refusal")
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"code", "message", "request_id"}


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("post", "/auth/login", {"200", "400", "413", "422"}),
        ("post", "/api-keys/", {"201", "400", "404", "409", "413", "422"}),
        ("get", "/api-keys/", {"200", "422"}),
        ("delete", "/api-keys/{key_id}", {"200", "404"}),
        ("post", "/api-keys/{key_id}/rotate", {"201", "400", "404", "409", "413", "422"}),
        ("get", "/users/me", {"200", "404"}),
    ],
)
async def test_the_routers_own_routes_show_what_they_refuse(
    bare: FastAPI, method: str, path: str, statuses: set[str]
) -> None:
    shown = bare.openapi()["paths"]["/api/v1" + path][method]["responses"]
    assert set(shown) == statuses | {"401", "403", "429", "500", "503"}


async def test_what_is_no_model_is_shown_as_it_is(bare: FastAPI) -> None:
    paths = bare.openapi()["paths"]
    check, key_set = paths["/api/v1/auth/check"]["get"], paths["/.well-known/jwks.json"]["get"]
    assert "content" not in check["responses"]["200"]
    assert [parameter["name"] for parameter in check["parameters"]] == ["scope"]
    assert "422" in check["responses"]
    assert check["security"] == [{"bearer": []}, {"login": []}]
    assert set(key_set["responses"]["200"]["content"]) == {"application/jwk-set+json"}
    assert set(key_set["responses"]) == {"200", "304", "401", "403", "429", "500", "503"}


async def test_a_login_elsewhere_is_shown_there(auth: Auth) -> None:
    app = FastAPI()
    app.include_router(router(Auth(auth.settings.replace(api_prefix="/v2"), store=auth.store)))
    flows = app.openapi()["components"]["securitySchemes"]["login"]["flows"]
    assert flows["password"]["tokenUrl"] == "v2/auth/login"
    # For the other tests, since the scheme is one.
    router(auth)


async def test_starlettes_way_still_works_beside_it(auth: Auth, user: User, credential: str) -> None:
    app = FastAPI()

    @app.get("/")
    @requires("calls:read")
    async def reads(caller: Authenticated) -> dict[str, str]:
        return {"subject": caller.subject}

    app.add_middleware(AuthMiddleware, auth=auth)
    assert (await get(app, "/", credential)).json()["subject"] == user.id


class TestWebSocket:
    """Over Starlette's own test client, which needs no event loop of ours."""

    @pytest.fixture
    def client(self) -> Any:
        auth = Auth(make_settings(require_https=False))
        app = FastAPI()
        app.include_router(router(auth))

        @app.websocket("/live")
        async def live(websocket: WebSocket, caller: Scoped("calls:read")) -> None:
            await websocket.accept()
            await websocket.send_text(caller.subject)
            raise NotFound

        with TestClient(app) as client:
            client.portal.call(auth.open)
            yield client, auth
            client.portal.call(auth.aclose)

    def test_the_caller_is_handed_out_and_a_late_refusal_closes(self, client: Any) -> None:
        http, auth = client

        async def issue() -> str:
            return await auth.tokens.issue("usr_1", scopes=["calls:read"])

        header = {"Authorization": "Bearer " + http.portal.call(issue)}
        with http.websocket_connect("/live", headers=header) as socket:
            assert socket.receive_text() == "usr_1"
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
        assert (closed.value.code, closed.value.reason) == (1008, "not_found")

    def test_it_is_refused_before_it_is_accepted(self, client: Any) -> None:
        http, _ = client
        from starlette.testclient import WebSocketDenialResponse

        with pytest.raises(WebSocketDenialResponse) as denied, http.websocket_connect("/live"):
            pass
        assert denied.value.status_code == 401
        assert denied.value.json()["error"]["code"] == "missing_token"
