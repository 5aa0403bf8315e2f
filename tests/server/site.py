"""The app under test: a small CallCov in Starlette, with AuthMiddleware around it."""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from callcov_auth import Auth, AuthMiddleware, auth_routes, current_principal, requires
from callcov_auth.errors import REFUSALS, AuthError, InsufficientPermissions, RateLimited, ValidationFailed


def make_site(auth: Auth, *outside: Middleware) -> Starlette:
    """Return the app; ``outside`` stands around AuthMiddleware."""
    return Starlette(
        routes=[*auth_routes(auth), *ROUTES], middleware=[*outside, Middleware(AuthMiddleware, auth=auth)]
    )


async def who(request: Request) -> JSONResponse:
    """Tell who calls, by every way that the contract names."""
    principal = request.state.principal
    return JSONResponse(
        {
            "subject": principal.subject,
            "kind": principal.kind,
            "scopes": sorted(request.state.scopes),
            "user": request.user.display_name,
            "authenticated": request.user.is_authenticated,
            "reads": "analysis:read" in request.auth.scopes,
            "current": current_principal() is principal,
            "path": request.scope["path"],
        }
    )


@requires("analysis:read")
async def read_analysis(request: Request) -> JSONResponse:
    return await who(request)


@requires("analysis:read", "analysis:write", "analysis:delete")
async def delete_analysis(request: Request) -> JSONResponse:
    return await who(request)


@starlette_requires("analysis:read", status_code=403)
async def starlettes_own(request: Request) -> JSONResponse:
    return await who(request)


async def raise_refusal(request: Request) -> Response:
    """Raise the refusal that the path names, as an endpoint of anybody's might."""
    raise refusal_named(request.path_params["code"])


async def refuse_midway(request: Request) -> Response:
    async def begin() -> AsyncIterator[bytes]:
        yield b"begun"
        raise refusal_named("not_found")

    return StreamingResponse(begin())


def refusal_named(code: str) -> AuthError:
    if code == "rate_limited":
        return RateLimited(limit=5, remaining=0, reset=30)
    if code == "validation_error":
        return ValidationFailed({"name": "is too long"})
    if code == "insufficient_permissions":
        return InsufficientPermissions("a", "b:c")
    return next(refusal for refusal in REFUSALS if refusal.code == code)()


async def socket_who(websocket: WebSocket) -> None:
    principal = websocket.state.principal
    await websocket.accept()
    await websocket.send_json(
        {
            "subject": principal.subject,
            "kind": principal.kind,
            "scopes": sorted(websocket.state.scopes),
            "user": websocket.scope["user"] is principal,
            "subprotocols": websocket.scope["subprotocols"],
            "header": websocket.headers.getlist("sec-websocket-protocol"),
        }
    )
    await until_it_leaves(websocket)


async def until_it_leaves(websocket: WebSocket) -> None:
    """Let the client close. Where both sides do at once, hypercorn's trio worker dies of it."""
    async for _ in websocket.iter_text():
        pass


@requires("analysis:read")
async def socket_reads(websocket: WebSocket) -> None:
    await socket_who(websocket)


async def socket_refuses_late(websocket: WebSocket) -> None:
    await websocket.accept()
    raise InsufficientPermissions("analysis:read")


async def socket_chooses(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat")
    await websocket.send_json({})
    await until_it_leaves(websocket)


ROUTES = [
    Route("/api/v1/analysis/", read_analysis, methods=["GET"]),
    Route("/api/v1/analysis/", delete_analysis, methods=["DELETE"]),
    Route("/starlette", starlettes_own),
    Route("/raise/midway", refuse_midway),
    Route("/raise/{code}", raise_refusal),
    Route("/health", who),
    Route("/maybe", who),
    Route("/docs/private", read_analysis),
    WebSocketRoute("/ws", socket_who),
    WebSocketRoute("/ws/reads", socket_reads),
    WebSocketRoute("/ws/late", socket_refuses_late),
    WebSocketRoute("/ws/chat", socket_chooses),
    # Whatever else there is, so that a path which is wrongly let in is seen to be.
    Route("/{rest:path}", who, methods=["GET", "POST", "OPTIONS"]),
]
