"""fastapi-keygate: ``gate.require``, as in its README; and in memory, without its record of usage."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from operator import attrgetter
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI

from benchmarks.peers.apps import fastapi_app
from benchmarks.peers.guarded import CALLER, guarded_app
from benchmarks.peers.subject import Headers, Subject

NAME = "fastapi-keygate"
REQUIREMENTS: tuple[str, ...] = ("fastapi-keygate>=0.5,<0.6",)
PYTHON: str | None = None

MORE = (
    "As documented it writes a row for each request; it limits the rate of each key (off here: it would "
    "refuse a benchmark), and has a dashboard and plans."
)
LESS = "No tokens, users or logins, and no cache: each request is a query in a worker thread."


def api_key_header(key: str) -> Callable[[], Headers]:
    value = key.encode()
    return lambda: [(b"X-API-Key".lower(), bytes(memoryview(value)))]


async def subjects(stack: AsyncExitStack) -> list[Subject]:
    from keygate import KeyGate

    bare = fastapi_app()
    folder = stack.enter_context(TemporaryDirectory())
    on_disk = KeyGate(db_url=f"sqlite:///{folder}/keygate.db", admin_secret=secrets.token_urlsafe(32))
    in_memory = KeyGate(db_url="sqlite://")

    def guarded(gate: Any) -> FastAPI:
        return guarded_app(gate.require, attrgetter("owner_id"))

    def subject(is_tuned: bool, gate: Any, app: FastAPI) -> Subject:
        headers = api_key_header(gate.create_key(CALLER, per_minute=None).key)
        return Subject(NAME, is_tuned, app, bare, headers, MORE, LESS)

    recorded = guarded(on_disk)
    on_disk.install(recorded)
    return [subject(False, on_disk, recorded), subject(True, in_memory, guarded(in_memory))]
