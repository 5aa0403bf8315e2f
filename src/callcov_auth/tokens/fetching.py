"""A JSON document from another issuer, over HTTPS and within bounds."""

import re
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio

from callcov_auth.strict_json import NotStrictJson, read_object
from callcov_auth.tokens.jwks import Fetched, FetchFailed

try:
    import httpx2
except ImportError as error:
    raise ImportError(
        "the keys of a trusted issuer are fetched with httpx2: pip install 'callcov-auth[client]', "
        "or give them inline, as jwks"
    ) from error

MAX_BYTES = 256 * 1024
TIMEOUT = 5.0
MAX_REDIRECTS = 3

# Not compressed, so that few bytes cannot become many.
_HEADERS = {"accept": "application/json, application/jwk-set+json", "accept-encoding": "identity"}

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)", re.IGNORECASE)
_NO_STORE = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:[\s,=]|$)", re.IGNORECASE)


def jwks_at(url: str) -> Callable[[], Awaitable[Fetched]]:
    """Return what fetches the key set at ``url``."""

    async def fetch() -> Fetched:
        return await fetch_json(url)

    return fetch


def jwks_discovered(issuer: str, url: str) -> Callable[[], Awaitable[Fetched]]:
    """Return what fetches the key set that the issuer's metadata names (OpenID Connect Discovery 1.0 §4)."""

    async def fetch() -> Fetched:
        metadata = (await fetch_json(url)).document
        if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
            raise FetchFailed("metadata_of_another_issuer")
        return await fetch_json(metadata.get("jwks_uri"))

    return fetch


async def fetch_json(url: object) -> Fetched:
    """Return the JSON object at ``url``, after redirects within its origin alone. Raises FetchFailed."""
    try:
        with anyio.fail_after(TIMEOUT):
            async with httpx2.AsyncClient(verify=_trusting(), timeout=TIMEOUT) as client:
                return await _follow(client, _https(url))
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError) as error:
        # ValueError: an address that cannot be taken apart, in the metadata or a redirect.
        raise FetchFailed(type(error).__name__) from None


async def _follow(client: Any, url: str) -> Fetched:
    for _ in range(MAX_REDIRECTS + 1):
        async with client.stream("GET", url, headers=_HEADERS) as response:
            if not response.has_redirect_location:
                return await _read(response)
            target = urljoin(url, response.headers["location"])
        if _origin(target) != _origin(url):
            raise FetchFailed("redirect_to_another_origin")
        url = target
    raise FetchFailed("too_many_redirects")


async def _read(response: Any) -> Fetched:
    if response.status_code != 200:
        raise FetchFailed(f"status_{response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchFailed("compressed")
    body = bytearray()
    with anyio.CancelScope() as reading:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BYTES:
                # Ended from within, or the client's generators would be left half-way, which trio minds.
                reading.cancel()
    if len(body) > MAX_BYTES:
        raise FetchFailed("too_large")
    try:
        return Fetched(read_object(bytes(body)), _max_age(response.headers.get("cache-control", "")))
    except NotStrictJson as error:
        raise FetchFailed(str(error)) from None


def _max_age(cache_control: str) -> float | None:
    if _NO_STORE.search(cache_control):
        return 0
    named = _MAX_AGE.search(cache_control)
    return None if named is None else float(named[1])


def _https(url: object) -> str:
    if not isinstance(url, str) or _origin(url)[0] != "https":
        raise FetchFailed("not_https")
    return url


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443


@cache
def _trusting() -> ssl.SSLContext:
    # The system's authorities, or those that SSL_CERT_FILE names.
    return ssl.create_default_context()
