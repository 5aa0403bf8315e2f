"""A FastAPI app that asks for its caller, and says who it was."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI

# The name of every caller, so that an app with authentication answers what the bare one does.
CALLER = "world"


def guarded_app(dependency: Callable[..., Any], name: Callable[[Any], str]) -> FastAPI:
    """Return an app whose endpoint greets the caller that ``dependency`` gives, by ``name`` of it."""
    app = FastAPI()

    @app.get("/hello")
    async def hello(caller: Annotated[Any, Depends(dependency)]) -> dict[str, str]:
        return {"hello": name(caller)}

    return app
