"""TokenAuth: logs in, keeps the token fresh, and sends it to one API."""

import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any

import anyio

from callcov_auth.client.body import OnceAsync, OnceSync
from callcov_auth.client.errors import LoginFailed
from callcov_auth.client.libraries import HttpxAuth, NotPickled
from callcov_auth.client.login import Answer, Exchange, Login, Pause, code_of
from callcov_auth.client.origin import Origin, secure_origin
from callcov_auth.client.turns import Turns

JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Turn:
    """Wait for the turn to renew."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request itself; what comes back is its response, unread."""

    request: Any


@dataclass(frozen=True, slots=True)
class Read:
    response: Any


class TokenAuth(NotPickled, HttpxAuth):
    """Sends a user's access token with each request to the origin of ``base_url``, and to no other.

    It logs in at first use, and renews the token ahead of its end, once for all the threads and event loops
    that share it. A request that meets ``token_expired`` is sent once more, unless its body was a stream.
    A request raises LoginFailed where the server gave no token.

    Raises InsecureOrigin for a ``base_url`` without HTTPS; ``allow_loopback_http`` permits that for a
    loopback address, for local work. ``timer`` gives seconds that never go back.

        httpx2.Client(base_url=API, auth=TokenAuth(API, "user@example.com", password))
    """

    def __init__(
        self,
        base_url: str,
        email: str,
        password: str,
        *,
        api_prefix: str = "/api/v1",
        allow_loopback_http: bool = False,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = secure_origin(base_url, allow_loopback_http=allow_loopback_http)
        self._address = base_url.rstrip("/") + api_prefix
        self._login = Login(email, password, timer)
        self._turns = Turns()

    def __repr__(self) -> str:
        return f"TokenAuth({self._address!r})"

    def belongs(self, url: object) -> bool:
        """Whether the token may go to ``url``."""
        return Origin.of(url) == self._origin

    def address_of(self, exchange: Exchange) -> str:
        """Return where an exchange with the server goes."""
        return self._address + exchange.path

    def answer(self, response: Any, body: bytes) -> Answer:
        """Take a library's response for an answer to an exchange. Raises LoginFailed if it is another's."""
        if not self.belongs(response.url):
            raise LoginFailed("the login was redirected to another origin")
        return Answer(response.status_code, response.headers, body)

    def ended(self, access: str, status: int, body: bytes) -> bool:
        """Whether a response says that ``access`` ended; it is forgotten then."""
        if status != 401 or code_of(body) != "token_expired":
            return False
        self._login.forget(access)
        return True

    def access(self) -> Generator[Turn | Exchange | Pause, Any, str]:
        """Return a token that may be sent, by the steps that this asks for. Raises LoginFailed."""
        if (access := self._login.fresh()) is not None:
            return access
        if not self._turns.take_if_free():
            # Whoever has the turn renews it; meanwhile the token is good for a while.
            if (access := self._login.alive()) is not None:
                return access
            yield Turn()
        try:
            return (yield from self._login.renew())
        finally:
            self._turns.give_back()

    def _flow(self, request: Any) -> Generator[Any, Any, None]:
        if not self.belongs(request.url):
            yield Send(request)
            return
        access = yield from self.access()
        response = yield Send(_carrying(request, access))
        # After a redirect it may be another origin's, which has no say here.
        if response.status_code != 401 or not self.belongs(response.url):
            return
        body = yield Read(response)
        if self.ended(access, response.status_code, body) and _can_be_sent_again(request):
            yield Send(_carrying(request, (yield from self.access())))

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """What httpx2's and httpx's ``Client`` calls."""
        flow = self._flow(request)
        result: Any = None
        try:
            while (step := _next(flow, result)) is not None:
                result = None
                match step:
                    case Send():
                        result = yield step.request
                    case Read():
                        result = step.response.read()
                    case Exchange():
                        response = yield self._request(request, step, OnceSync(step.content))
                        result = self.answer(response, response.read())
                    case Pause():
                        time.sleep(step.seconds)
                    case Turn():
                        self._turns.take()
        finally:
            flow.close()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """What httpx2's and httpx's ``AsyncClient`` calls."""
        flow = self._flow(request)
        result: Any = None
        try:
            while (step := _next(flow, result)) is not None:
                result = None
                match step:
                    case Send():
                        result = yield step.request
                    case Read():
                        result = await step.response.aread()
                    case Exchange():
                        response = yield self._request(request, step, OnceAsync(step.content))
                        result = self.answer(response, await response.aread())
                    case Pause():
                        await anyio.sleep(step.seconds)
                    case Turn():
                        await self._turns.take_async()
        finally:
            flow.close()

    def do(self, step: Turn | Pause) -> None:
        """Do, in a thread, a step that needs no library."""
        if isinstance(step, Pause):
            time.sleep(step.seconds)
        else:
            self._turns.take()

    def _request(self, request: Any, exchange: Exchange, body: OnceSync | OnceAsync) -> Any:
        """Return ``exchange`` as a request of the library, and with the timeouts, that ``request`` has."""
        headers = {**JSON_HEADERS, "Content-Length": str(len(exchange.content))}
        timeouts = {name: value for name, value in request.extensions.items() if name == "timeout"}
        return type(request)(
            "POST", self.address_of(exchange), headers=headers, content=body, extensions=timeouts
        )


def _next(flow: Generator[Any, Any, None], result: Any) -> Any:
    """Return the next step; None at the end, which a generator may not learn by StopIteration."""
    try:
        return flow.send(result)
    except StopIteration:
        return None


def _carrying(request: Any, access: str) -> Any:
    request.headers["Authorization"] = f"Bearer {access}"
    return request


def _can_be_sent_again(request: Any) -> bool:
    try:
        _ = request.content
    except RuntimeError:
        # Either library's RequestNotRead: it was a stream, and is gone.
        return False
    return True
