"""Live calls over WebSockets. In production: ``uvicorn examples.starlette_websockets.app:app``."""

import time
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from callcov_auth import Auth, AuthMiddleware, AuthSettings, auth_routes, requires
from callcov_auth.errors import TokenExpired

PAGE = Path(__file__).with_name("page.html")

# The settings are CALLCOV_AUTH_* in the environment. A browser cannot set a header on a WebSocket, so the
# credential may come as a subprotocol too; the page that sends it is open.
auth = Auth(AuthSettings(websocket_protocol=True, public_paths=("/",)))


async def page(_request: Request) -> FileResponse:
    return FileResponse(PAGE)


@requires("calls:read")
async def listen(websocket: WebSocket) -> None:
    """Tell who listens, and say again whatever they say."""
    await _talk(websocket)


@requires("calls:write")
async def dictate(websocket: WebSocket) -> None:
    """The same for those who may write; whoever may not is refused before anything is accepted."""
    await _talk(websocket)


async def _talk(websocket: WebSocket) -> None:
    caller = websocket.user
    await websocket.accept()
    await websocket.send_json({"subject": caller.subject, "kind": caller.kind})
    with anyio.move_on_after(_seconds_left(caller.expires_at)):
        async for said in websocket.iter_text():
            await websocket.send_json({"from": caller.subject, "said": said})
        return
    # The middleware judges the handshake alone, so a connection must end by itself with its token.
    raise TokenExpired()


def _seconds_left(expires_at: float | None) -> float:
    return float("inf") if expires_at is None else expires_at - time.time()


app = Starlette(
    routes=[
        Route("/", page),
        WebSocketRoute("/listen", listen),
        WebSocketRoute("/dictate", dictate),
        *auth_routes(auth),
    ],
    middleware=[Middleware(AuthMiddleware, auth=auth)],
)
