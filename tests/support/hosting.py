"""An issuer whose key set comes over a network that is stood in for, so that a case says what it answers."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest

from callcov_auth import Auth
from tests.support.clock import Clock
from tests.support.issuers import AUDIENCE, Party, Signer
from tests.support.settings import make_settings

ISSUER = "https://hosted.example"
JWKS = f"{ISSUER}/jwks.json"
METADATA = f"{ISSUER}/.well-known/openid-configuration"

Pages = Mapping[str, Mapping[str, Any]]
"""By address: what ``httpx2.Response`` is made of. Every other address is 404."""


def hosted_party(signer: Signer, clock: Clock) -> Party:
    return Party(ISSUER, AUDIENCE, "at+jwt", signer, int(clock()))


def page(document: object, **more: Any) -> dict[str, Any]:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return {"status_code": 200, "content": content, **more}


async def _in_chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65536):
        yield content[start : start + 65536]


@contextmanager
def network(pages: Pages) -> Iterator[None]:
    client = httpx2.AsyncClient

    def answer(request: httpx2.Request) -> httpx2.Response:
        found = dict(pages.get(str(request.url), page(b"", status_code=404)))
        return httpx2.Response(content=_in_chunks(found.pop("content")), **found)

    def connected(**options: Any) -> httpx2.AsyncClient:
        return client(transport=httpx2.MockTransport(answer), timeout=options["timeout"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx2, "AsyncClient", connected)
        yield


@asynccontextmanager
async def relying_party(clock: Clock, pages: Pages, **issuer: Any) -> AsyncIterator[Auth]:
    """An Auth that takes the tokens of ISSUER and of nobody else, by the keys that ``pages`` give."""
    source = {"jwks_url": JWKS} if issuer.keys().isdisjoint(("jwks", "jwks_url", "discovery")) else {}
    trusted = {"issuer": ISSUER, "audience": AUDIENCE, **source, **issuer}
    settings = make_settings(secret=None, accept={"token"}, trusted_issuers=[trusted])
    with network(pages):
        async with Auth(settings, clock=clock) as auth:
            yield auth
