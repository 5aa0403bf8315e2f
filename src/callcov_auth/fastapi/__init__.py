"""FastAPI's door: the endpoints as a router, and the caller as a dependency that OpenAPI shows.

    app.include_router(router(auth))

    @app.get("/calls", responses=REFUSALS)
    async def calls(caller: Scoped("calls:read")) -> list[str]: ...

With AuthMiddleware around the app, the dependencies hand out the caller that it found. Without it they
authenticate by themselves, by the Auth whose ``router`` the app includes, so routes are protected one by one.
"""

try:
    import fastapi as _fastapi  # noqa: F401
except ImportError as error:
    raise ImportError("callcov_auth.fastapi needs FastAPI: pip install 'callcov-auth[fastapi]'") from error

from callcov_auth.fastapi.callers import Authenticated, Scoped, authenticated, scoped
from callcov_auth.fastapi.documented import REFUSALS
from callcov_auth.fastapi.routes import router

__all__ = ["REFUSALS", "Authenticated", "Scoped", "authenticated", "router", "scoped"]
