"""Whether a server lives and whether it is ready, for what runs it: ``/health/live``, ``/health/ready``."""

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from callcov_auth.auth import Auth

LIVE_PATH, READY_PATH = "/health/live", "/health/ready"
# For so long, in seconds, an answer stands: whoever may ask this of everybody's store may ask it often.
REMEMBERED_FOR = 1.0


class HealthPaths:
    """Answers the two paths itself, without a credential and over plain HTTP too, for probes have neither.

    Stands around AuthMiddleware. Alive is what answers at all; ready is what could decide on a credential
    now. A server that is not ready answers 503, and is left alone rather than started anew.
    """

    def __init__(self, app: ASGIApp, *, auth: Auth) -> None:
        self._app = app
        self._auth = auth
        self._asking = anyio.Lock()
        self._is_ready = False
        self._until = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (LIVE_PATH, READY_PATH):
            await self._app(scope, receive, send)
            return
        await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        headers = {"cache-control": "no-store"}
        if scope["method"] not in ("GET", "HEAD"):
            return Response(status_code=405, headers={**headers, "allow": "GET, HEAD"})
        if scope["path"] == LIVE_PATH or await self._ready():
            return JSONResponse({"status": "ok"}, headers=headers)
        return JSONResponse({"status": "unavailable"}, 503, {**headers, "retry-after": "1"})

    async def _ready(self) -> bool:
        # One asks for all who come meanwhile.
        async with self._asking:
            if self._auth.timer() >= self._until:
                self._is_ready = await self._auth.is_ready()
                self._until = self._auth.timer() + REMEMBERED_FOR
            return self._is_ready
