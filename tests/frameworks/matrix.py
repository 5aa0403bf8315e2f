"""What is promised to work: the frameworks by their headings in docs/frameworks.md, and the servers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.support.granian_server import serve_granian
from tests.support.hypercorn_server import serve_hypercorn
from tests.support.servers import serve
from tests.support.tls import Certificate

TRIO = "hypercorn on trio"
NO_LIFESPAN = "uvicorn without lifespan"


@dataclass(frozen=True, slots=True)
class Framework:
    """``caller`` is how an endpoint finds the caller. ``lacks`` holds servers with the reason why not."""

    name: str
    caller: str
    websockets: bool = True
    root: str = ""
    lacks: tuple[tuple[str, str], ...] = ()

    def runs_on(self, server: str) -> bool:
        return server not in dict(self.lacks)


@dataclass(frozen=True, slots=True)
class Server:
    """``serve(app, certificate)`` gives the base URL; ``versions`` are those of HTTP."""

    name: str
    serve: Callable[[Any, Certificate], AbstractContextManager[str]]
    versions: tuple[str, ...]


def _uvicorn(app: Any, certificate: Certificate, **options: Any) -> AbstractContextManager[str]:
    tls = {"ssl_certfile": str(certificate.certfile), "ssl_keyfile": str(certificate.keyfile)}
    return serve(app, **tls, **options)


def _hypercorn(app: Any, certificate: Certificate, worker: Any) -> AbstractContextManager[str]:
    return serve_hypercorn(app, worker=worker, certificate=certificate)


def _granian(app: Any, certificate: Certificate) -> AbstractContextManager[str]:
    return serve_granian(app, certificate=certificate)


BOTH = ("HTTP/1.1", "HTTP/2")
SERVERS = (
    Server("uvicorn", _uvicorn, ("HTTP/1.1",)),
    Server(NO_LIFESPAN, partial(_uvicorn, lifespan="off"), ("HTTP/1.1",)),
    Server("hypercorn", partial(_hypercorn, worker="asyncio"), BOTH),
    Server(TRIO, partial(_hypercorn, worker="trio"), BOTH),
    Server("granian", _granian, BOTH),
)

USER = "`request.user`"
CURRENT = "`current_principal()`"
NO_TRIO = ((TRIO, "asyncio alone"),)
FRAMEWORKS = (
    Framework("Plain ASGI", '`scope["user"]`'),
    Framework("Starlette", USER),
    Framework("FastAPI", USER),
    Framework("Litestar", USER),
    Framework("Quart", CURRENT, lacks=NO_TRIO),
    Framework("Django", USER, websockets=False, lacks=NO_TRIO),
    Framework("Falcon", CURRENT, lacks=NO_TRIO),
    Framework("BlackSheep", CURRENT),
    Framework("MCP", CURRENT, websockets=False, lacks=((NO_LIFESPAN, "needs a lifespan"),)),
    Framework("Mounted", USER, root="/api"),
    Framework("Two in one process", USER, websockets=False, root="/live"),
)


def table() -> str:
    """Return the matrix in Markdown."""
    names = [server.name for server in SERVERS]
    rows = [["framework", "the caller", *names, "WebSockets"], ["---"] * (len(names) + 3)]
    for framework in FRAMEWORKS:
        cells = [dict(framework.lacks).get(server.name, ", ".join(server.versions)) for server in SERVERS]
        rows.append(
            [framework.name, framework.caller, *cells, "yes" if framework.websockets else "none of its own"]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
