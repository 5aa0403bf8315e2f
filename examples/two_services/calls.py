"""The service that trusts an issuer. In production: ``uvicorn examples.two_services.calls:app``.

Its settings are in the environment alone: whose tokens it takes. It has no secret, no database and no users.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from callcov_auth import AuthMiddleware, AuthSettings, requires


@requires("calls:read")
async def list_calls(request: Request) -> JSONResponse:
    # A subject is unique within its issuer, and there may be several.
    return JSONResponse({"calls": [], "of": request.user.subject, "by_the_word_of": request.user.issuer})


@requires("calls:write")
async def add_call(request: Request) -> JSONResponse:
    return JSONResponse({"by": request.user.subject}, status_code=201)


app = Starlette(
    routes=[
        Route("/calls", list_calls, methods=["GET"]),
        Route("/calls", add_call, methods=["POST"]),
    ],
    middleware=[Middleware(AuthMiddleware, settings=AuthSettings())],
)
