"""The bare apps, and their endpoint, that every subject shares."""

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(_request: Request) -> JSONResponse:
    return JSONResponse({"hello": "world"})


def starlette_app(*middleware: Middleware) -> Starlette:
    return Starlette(routes=[Route("/hello", hello)], middleware=list(middleware))


def fastapi_app(*middleware: Middleware) -> FastAPI:
    """Return the first app of FastAPI's tutorial, whose endpoint says nothing of what it returns."""
    app = FastAPI(middleware=list(middleware))

    @app.get("/hello")
    async def hello():  # type: ignore[no-untyped-def]
        return {"hello": "world"}

    return app
