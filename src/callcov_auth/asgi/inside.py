"""What an app holds within: the apps, middlewares and mounts that a request may come to."""

from collections.abc import Iterator

from starlette.applications import Starlette


def everything_inside(app: object) -> Iterator[object]:
    """Yield ``app`` and all that hangs below it by ``app``, ``routes`` and FastAPI's routers, each once."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += _next(found)


def is_cors(found: object) -> bool:
    """Whether this is a CORSMiddleware, or a Starlette app that will put one around itself."""
    names = {type(found).__name__}
    if isinstance(found, Starlette):
        names |= {getattr(middleware.cls, "__name__", "") for middleware in found.user_middleware}
    return "CORSMiddleware" in names


def _next(found: object) -> list[object]:
    routes = getattr(found, "routes", None)
    # FastAPI keeps a router that was included whole, where older ones copied its routes.
    inner = [getattr(found, name, None) for name in ("app", "original_router")]
    return [*(routes if isinstance(routes, list) else ()), *(each for each in inner if each is not None)]
