"""A conversation with the demo's servers: what is sent, and what the steps share."""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from callcov_auth.demo.answers import Answer, NotHeld

ANALYSIS = "/api/v1/analysis/"
LIVE = "/api/v1/analysis/live"
KEYS = "/api/v1/api-keys/"
LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"
ME = "/api/v1/users/me"

# How long something that happens beside the answers is waited for, in seconds.
PATIENCE = 10.0


class Clock:
    """The time of day and what was added to it, the same for every server of a conversation."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Kept(dict[str, Any]):
    """What answers gave, for the steps that come after."""

    def __missing__(self, name: str) -> Any:
        raise NotHeld(f"{name!r} from an earlier step", "nothing, for that step failed")


@dataclass(slots=True)
class Talk:
    """Sends to the servers by name. ``last`` is the newest answer."""

    clients: Mapping[str, httpx2.Client]
    clock: Clock
    trusting: ssl.SSLContext
    kept: Kept = field(default_factory=Kept, repr=False)
    last: Answer | None = None

    def get(self, path: str, credential: str | None = None, **more: Any) -> Answer:
        return self.send("GET", path, credential, **more)

    def post(self, path: str, credential: str | None = None, **more: Any) -> Answer:
        return self.send("POST", path, credential, **more)

    def send(
        self,
        method: str,
        path: str,
        credential: str | None = None,
        *,
        to: str = "demo",
        headers: Sequence[tuple[str, str]] = (),
        **body: Any,
    ) -> Answer:
        """Send a request with ``credential`` as its Bearer; ``body`` is ``json`` or ``content``."""
        lines = [*headers, *_bearer(credential)]
        response = self.clients[to].request(method, path, headers=lines, **body)
        self.last = Answer(response.status_code, response.headers, response.content)
        return self.last

    def listen(self, credential: str | None = None, *, to: str = "demo") -> Answer:
        """Open the WebSocket and wait for its first message."""
        base = self.clients[to].base_url
        secure = base.scheme == "https"
        url = str(base.copy_with(scheme="wss" if secure else "ws", path=LIVE))
        try:
            heard = anyio.run(_first_message, url, _bearer(credential), self.trusting if secure else None)
            self.last = Answer(101, {}, heard.encode())
        except InvalidStatus as error:
            response = error.response
            self.last = Answer(response.status_code, response.headers, bytes(response.body or b""))
        return self.last


Step = Callable[[Talk], None]


def eventually(ask: Callable[[], Answer], holds: Callable[[Answer], bool]) -> Answer:
    """Ask again until it holds; after PATIENCE return what came last."""
    until = time.monotonic() + PATIENCE
    answer = ask()
    while not holds(answer) and time.monotonic() < until:
        time.sleep(0.05)
        answer = ask()
    return answer


def altered(text: str, at: int) -> str:
    """Return ``text`` with one character changed."""
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


async def _first_message(url: str, headers: list[tuple[str, str]], context: ssl.SSLContext | None) -> str:
    # Not websockets' client for threads: reading and writing one TLS connection in two can hang.
    with anyio.fail_after(PATIENCE):
        async with connect(url, additional_headers=headers, ssl=context, proxy=None) as socket:
            return str(await socket.recv())


def _bearer(credential: str | None) -> list[tuple[str, str]]:
    return [] if credential is None else [("Authorization", f"Bearer {credential}")]
