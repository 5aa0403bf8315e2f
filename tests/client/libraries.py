"""The same request by each library, sync and async, so that one test holds for all of them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import httpx2
import requests

from callcov_auth.client import RequestsAuth
from tests.support.tls import Certificate

Ask = Callable[..., Any]
"""``ask(auth, method, url, **options)`` gives a response, after its redirects."""


def by_httpx(library: Any, certificate: Certificate, auth: Any, method: str, url: str, **options: Any) -> Any:
    with library.Client(
        auth=auth, verify=certificate.client_context(), follow_redirects=True, trust_env=False
    ) as client:
        return client.request(method, url, **options)


def by_async_httpx(
    library: Any, backend: str, certificate: Certificate, auth: Any, method: str, url: str, **options: Any
) -> Any:
    if isinstance(options.get("content"), Iterator):
        options["content"] = _asynchronous(options["content"])

    async def ask() -> Any:
        async with library.AsyncClient(
            auth=auth, verify=certificate.client_context(), follow_redirects=True, trust_env=False
        ) as client:
            return await client.request(method, url, **options)

    return anyio.run(ask, backend=backend)


async def _asynchronous(content: Iterator[bytes]) -> Any:
    for chunk in content:
        yield chunk


def by_requests(certificate: Certificate, auth: Any, method: str, url: str, **options: Any) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(certificate.certfile)
        session.auth = RequestsAuth(auth, session)
        content = options.pop("content", None)
        return session.request(method, url, data=content, timeout=20, **options)


LIBRARIES: dict[str, Callable[..., Any]] = {
    "httpx2": partial(by_httpx, httpx2),
    "httpx": partial(by_httpx, httpx),
    "httpx2-asyncio": partial(by_async_httpx, httpx2, "asyncio"),
    "httpx2-trio": partial(by_async_httpx, httpx2, "trio"),
    "httpx-asyncio": partial(by_async_httpx, httpx, "asyncio"),
    "httpx-trio": partial(by_async_httpx, httpx, "trio"),
    "requests": by_requests,
}
