"""Two services over real HTTPS: one issues tokens and changes its keys, the other verifies them."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from callcov_auth import Auth, AuthMiddleware, AuthSettings, auth_routes
from callcov_auth.tokens import fetching
from callcov_auth.tokens.jwks import COOL_DOWN
from tests.support.clock import Clock
from tests.support.issuers import Signer, signer
from tests.support.polling import eventually_in_thread
from tests.support.servers import serve
from tests.support.settings import make_settings
from tests.support.tls import Certificate, make_certificate

ISSUER = "https://issuer.example"
KEY_SET = "/.well-known/jwks.json"
# What the issuer's key set says of itself, in seconds.
MAX_AGE = 300
STALE_FOR = 600
ROTATIONS = 5
WORKERS = 8


class IssuingService:
    """Issues a token to whoever asks at ``/token``. Its keys change while it runs; ``fetches`` counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: list[Auth] = []
        self._opening = anyio.Lock()
        self.fetches = 0

    def has(self, *signers: Signer) -> None:
        """Sign with the first from now on, and publish them all."""
        keys = [json.dumps(made.private_jwk()) for made in signers]
        settings = make_settings(issuer=ISSUER, signing_keys=keys, access_token_ttl=86400)
        self._auth = Auth(settings, clock=self._clock)
        self._app = Starlette(routes=[*auth_routes(self._auth), Route("/token", self._issue)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.fetches += scope["path"] == KEY_SET
        await self._app(scope, receive, send)

    async def _issue(self, request: Request) -> PlainTextResponse:
        auth = self._auth
        async with self._opening:
            if auth not in self._open:
                await auth.open()
                self._open.append(auth)
        return PlainTextResponse(await auth.tokens.issue("usr_1", scopes=["calls:read"]))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for auth in self._open:
            await auth.aclose()
        self._open.clear()
        await send({"type": "lifespan.shutdown.complete"})


def verifying_service(jwks_url: str, clock: Clock) -> Any:
    """A resource server that answers with the caller's name."""
    issuer = {"issuer": ISSUER, "audience": "callcov", "jwks_url": jwks_url, "stale_for": STALE_FOR}
    settings = AuthSettings(_env_file=None, accept={"token"}, trusted_issuers=[issuer])

    async def who(request: Request) -> JSONResponse:
        return JSONResponse({"subject": request.state.principal.subject})

    return AuthMiddleware(Starlette(routes=[Route("/who", who)]), auth=Auth(settings, clock=clock))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def files(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The certificate as the servers take it; who fetches trusts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certfile))
    fetching._trusting.cache_clear()
    yield {"ssl_certfile": str(certificate.certfile), "ssl_keyfile": str(certificate.keyfile)}
    fetching._trusting.cache_clear()


class Load:
    """Clients that take a token from one service to the other, over and over; ``answers`` counts."""

    def __init__(self, trust: ssl.SSLContext, issuing: str, verifying: str) -> None:
        self._trust = trust
        self._issuing = issuing
        self._verifying = verifying
        self._rounds = [0] * WORKERS
        self._ends = threading.Event()
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(WORKERS)
        self._work = [self._pool.submit(self._go_round, number) for number in range(WORKERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._pool.shutdown()
        for work in self._work:
            work.result()

    def a_round_of_each(self) -> None:
        """Wait until nobody holds a token from before."""
        then = [count + 2 for count in self._rounds]
        eventually_in_thread(
            lambda: (
                all(now >= goal for now, goal in zip(self._rounds, then, strict=True))
                or any(work.done() for work in self._work)
            )
        )

    def _go_round(self, number: int) -> None:
        with httpx2.Client(verify=self._trust, timeout=30) as client:
            while not self._ends.is_set():
                token = client.get(f"{self._issuing}/token").text
                for _ in range(2):
                    self._call(client, token)
                self._rounds[number] += 1

    def _call(self, client: httpx2.Client, token: str) -> None:
        answer = client.get(f"{self._verifying}/who", headers={"authorization": f"Bearer {token}"})
        self.answers[answer.text if answer.status_code == 200 else f"{answer.status_code} {answer.text}"] += 1


def test_keys_change_five_times_under_load_and_no_request_is_refused(
    certificate: Certificate, files: dict[str, Any], clock: Clock
) -> None:
    service = IssuingService(clock)
    current = signer("ES256", "key-0")
    service.has(current)
    with serve(service, **files) as issuing, ExitStack() as running:
        verifying = running.enter_context(serve(verifying_service(issuing + KEY_SET, clock), **files))
        load = running.enter_context(Load(certificate.client_context(), issuing, verifying))
        load.a_round_of_each()
        assert service.fetches == 1
        for rotation in range(1, ROTATIONS + 1):
            new = signer("ES256", f"key-{rotation}")
            service.has(current, new)
            clock.advance(COOL_DOWN)
            load.a_round_of_each()
            assert service.fetches == rotation
            service.has(new, current)
            load.a_round_of_each()
            # The first token of the new key had the set fetched, and all others waited for that.
            assert service.fetches == rotation + 1
            current = new
        clock.advance(0.9 * MAX_AGE)
        eventually_in_thread(lambda: service.fetches == ROTATIONS + 2)
        load.a_round_of_each()
    assert set(load.answers) == {'{"subject":"usr_1"}'}
    assert load.answers.total() >= 2 * WORKERS * (2 * ROTATIONS + 2)
    assert service.fetches == ROTATIONS + 2


def test_a_dead_issuer_is_outlived_a_while_and_then_its_return_is_enough(
    certificate: Certificate, files: dict[str, Any], clock: Clock
) -> None:
    service = IssuingService(clock)
    service.has(signer("ES256", "key-0"))
    trust = certificate.client_context()
    alive = ExitStack()
    issuing = alive.enter_context(serve(service, **files))
    with alive, serve(verifying_service(issuing + KEY_SET, clock), **files) as verifying:
        token = httpx2.get(f"{issuing}/token", verify=trust).text

        def answer() -> httpx2.Response:
            # Past the cache of those who were verified a moment ago.
            clock.advance(61)
            return httpx2.get(
                f"{verifying}/who", headers={"authorization": f"Bearer {token}"}, verify=trust, timeout=30
            )

        assert answer().status_code == 200
        alive.close()
        lost_at = clock()
        while clock() < lost_at + STALE_FOR:
            assert answer().status_code == 200
        clock.advance(MAX_AGE)
        refused = answer()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "auth_unavailable")
        assert refused.headers["retry-after"] == "30"
        assert "www-authenticate" not in refused.headers
        clock.advance(10 * STALE_FOR)
        assert answer().status_code == 503

        service.has(signer("ES256", "key-1"), signer("ES256", "key-0"))
        alive.enter_context(serve(service, port=urlsplit(issuing).port, **files))
        assert answer().status_code == 200
