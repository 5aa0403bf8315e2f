"""A FastAPI app that looks like CallCov's API, with one made-up analysis."""

from typing import Annotated, Any, NoReturn
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Security, WebSocket
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import Request

from callcov_auth import Auth, AuthMiddleware, Principal
from callcov_auth.errors import MalformedJson, NotFound, ValidationFailed
from callcov_auth.fastapi import REFUSALS, router, scoped
from callcov_auth.fastapi.documented import responses

ANALYSES = ({"id": "an_7f3c", "call": "call_2041", "sentiment": "positive", "coverage": 0.92},)


Reader = Annotated[Principal, Security(scoped, scopes=["analysis:read"])]
Writer = Annotated[Principal, Security(scoped, scopes=["analysis:write"])]


class NewAnalysis(BaseModel):
    call: str


class Caller(BaseModel):
    """Whom the middleware found behind the request."""

    subject: str
    kind: str
    environment: str | None
    segment: str | None


class Analyses(BaseModel):
    analyses: list[dict[str, Any]]
    asked_by: Caller


class Queued(BaseModel):
    id: str
    call: str
    status: str


def demo_app(auth: Auth) -> FastAPI:
    """Return the app, guarded by ``auth``; what is open without a credential is up to its settings."""
    # No redirects, for a client that follows one may send its credential again.
    app = FastAPI(title="CallCov demo", redirect_slashes=False)
    app.include_router(router(auth))
    prefix = f"{auth.settings.api_prefix}/analysis"
    app.include_router(_analysis, prefix=prefix, tags=["analysis"], responses=REFUSALS)
    app.add_api_route("/health", health, tags=["health"])
    app.add_middleware(AuthMiddleware, auth=auth)
    # FastAPI's own refusals have another body.
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(400, _not_readable)
    app.add_exception_handler(404, _not_found)
    return app


async def health() -> dict[str, str]:
    return {"status": "ok"}


_analysis = APIRouter()


@_analysis.get("/")
async def list_analyses(caller: Reader) -> Analyses:
    return _analyses(caller)


@_analysis.post("/", status_code=202, responses=responses([MalformedJson, ValidationFailed]))
async def start_analysis(wanted: NewAnalysis, _caller: Writer) -> Queued:
    return Queued(id=f"an_{uuid4().hex[:8]}", call=wanted.call, status="queued")


@_analysis.websocket("/live")
async def live(websocket: WebSocket, caller: Reader) -> None:
    await websocket.accept()
    await websocket.send_text(_analyses(caller).model_dump_json())
    await websocket.close()


async def _not_valid(_request: Request, error: Any) -> NoReturn:
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        raise MalformedJson()
    # Without the first part, which says that it is of the body.
    fields = {".".join(map(str, problem["loc"][1:])) or "body": problem["msg"] for problem in problems}
    raise ValidationFailed(fields)


async def _not_readable(_request: Request, _error: Exception) -> NoReturn:
    raise MalformedJson()


async def _not_found(_request: Request, _error: Exception) -> NoReturn:
    raise NotFound()


def _analyses(principal: Principal) -> Analyses:
    caller = Caller(
        subject=principal.subject,
        kind=principal.kind,
        environment=principal.environment,
        segment=principal.segment,
    )
    return Analyses(analyses=list(ANALYSES), asked_by=caller)
