"""What a hit's time goes to: middlewares that do ever more of what ours does, each on the same app.

    python -m benchmarks.hit_parts

Prints what each adds to the bare request, as a part of what AuthMiddleware adds, and in ns.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.harness.apart import contest_apart
from benchmarks.harness.contest import Entrant
from benchmarks.harness.figures import FULL, Effort
from benchmarks.harness.intervals import median_interval
from benchmarks.peers import ours
from benchmarks.peers.apps import starlette_app
from callcov_auth import Auth
from callcov_auth.principal import Principal, principal_in_context

OURS = "AuthMiddleware"
EFFORT = replace(FULL, turns=40)


class Awaits:
    """Hands the request on, and does nothing: what any middleware pays."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self.app = app
        self.auth = auth
        self.callers: Any = auth.callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class ReadsTheHeader(Awaits):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header_of(scope)
        await self.app(scope, receive, send)


class FindsTheCaller(Awaits):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.get(header_of(scope))
        await self.app(scope, receive, send)


class PutsTheCallerOnTheRequest(Awaits):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = header_of(scope)
        caller = self.callers.get(header) or await self.auth.authenticate(header)
        attach(scope, caller)
        await self.app(scope, receive, send)


class PutsTheCallerInTheContext(Awaits):
    """All that a hit needs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = header_of(scope)
        caller = self.callers.get(header) or await self.auth.authenticate(header)
        attach(scope, caller)
        token = principal_in_context.set(caller)
        try:
            await self.app(scope, receive, send)
        finally:
            principal_in_context.reset(token)


PARTS: Sequence[type[Awaits]] = (
    Awaits,
    ReadsTheHeader,
    FindsTheCaller,
    PutsTheCallerOnTheRequest,
    PutsTheCallerInTheContext,
)


def header_of(scope: Scope) -> Any:
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            found = value
    return found


def attach(scope: Scope, caller: Principal) -> None:
    state = scope.setdefault("state", {})
    state["principal"] = scope["user"] = caller
    state["scopes"], scope["auth"] = caller.scopes, caller.credentials


async def entrants(stack: AsyncExitStack) -> list[Entrant]:
    auth = await ours.opened(stack)
    whole = ours.subject(auth, await ours.new_key(auth))
    parts = [replace(whole, app=starlette_app(Middleware(part, auth=auth))) for part in PARTS]
    named = zip((part.__name__ for part in PARTS), parts, strict=True)
    return [Entrant(OURS, whole), *(Entrant(name, part) for name, part in named)]


async def measure(effort: Effort) -> None:
    found, rounds = await contest_apart(entrants, effort)
    for entrant in found:
        part = median_interval([each[entrant.name].added / each[OURS].added for each in rounds])
        added = median_interval([each[entrant.name].added for each in rounds])
        print(f"{entrant.name:28}{part.value:6.2f} ({part.low:.2f} to {part.high:.2f}){added.value:8.0f} ns")


if __name__ == "__main__":
    asyncio.run(measure(EFFORT))
