"""Calls, kept for whoever notes them down. In production: ``uvicorn examples.fastapi_app.app:app``."""

from collections import defaultdict
from typing import Annotated
from uuid import uuid4

from fastapi import FastAPI, Security
from pydantic import BaseModel

from callcov_auth import Auth, AuthMiddleware, AuthSettings, Principal
from callcov_auth.errors import NotFound
from callcov_auth.fastapi import REFUSALS, Authenticated, router, scoped

# The settings are CALLCOV_AUTH_* in the environment; what is open is the app's own affair.
auth = Auth(AuthSettings(public_paths=("/docs", "/openapi.json")))

app = FastAPI(title="Calls", responses=REFUSALS)
app.include_router(router(auth))
app.add_middleware(AuthMiddleware, auth=auth)

Reader = Annotated[Principal, Security(scoped, scopes=["calls:read"])]
Writer = Annotated[Principal, Security(scoped, scopes=["calls:write"])]


class NewCall(BaseModel):
    number: str
    note: str = ""


class Call(NewCall):
    id: str


class Caller(BaseModel):
    subject: str
    kind: str
    scopes: list[str]


# By owner; yours are in a database.
calls: defaultdict[str, dict[str, Call]] = defaultdict(dict)


@app.get("/me")
async def me(caller: Authenticated) -> Caller:
    return Caller(subject=caller.subject, kind=caller.kind, scopes=sorted(caller.scopes))


@app.get("/calls")
async def list_calls(caller: Reader) -> list[Call]:
    return list(calls[caller.subject].values())


@app.post("/calls", status_code=201)
async def add_call(new: NewCall, caller: Writer) -> Call:
    call = Call(id=uuid4().hex, **new.model_dump())
    calls[caller.subject][call.id] = call
    return call


@app.get("/calls/{call_id}")
async def read_call(call_id: str, caller: Reader) -> Call:
    call = calls[caller.subject].get(call_id)
    if call is None:
        # As for everybody else's: who asks learns nothing of them.
        raise NotFound("There is no such call")
    return call
