"""ApiKeyAuth: sends an API key to one API."""

import os
import re
from collections.abc import Generator
from typing import Any

from callcov_auth.client.libraries import HttpxAuth, NotPickled
from callcov_auth.client.origin import Origin, secure_origin

VARIABLE = "CALLCOV_API_KEY"
# RFC 6750 §2.1
B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class ApiKeyAuth(NotPickled, HttpxAuth):
    """Sends an API key with each request to one origin, and to no other.

    ``key`` is taken from ``CALLCOV_API_KEY`` where it is not given. The origin is that of ``base_url``, or,
    without one, that of the first request. Requests to another origin go without the key, redirected ones
    too. Raises ValueError for a key that is none, and InsecureOrigin rather than send it over plain HTTP;
    ``allow_loopback_http`` permits that to a loopback address, for local work.

        httpx2.Client(base_url="https://api.callcov.com", auth=ApiKeyAuth())
    """

    def __init__(
        self, key: str | None = None, *, base_url: str | None = None, allow_loopback_http: bool = False
    ) -> None:
        given = os.environ.get(VARIABLE, "") if key is None else key
        if not B64TOKEN.fullmatch(given):
            raise ValueError(f"there is no API key: give one, or set {VARIABLE}")
        self._authorization = _Hidden(f"Bearer {given}")
        self._allow_loopback_http = allow_loopback_http
        self._origins: dict[str, Origin] = {}
        if base_url is not None:
            self._origins["its own"] = secure_origin(base_url, allow_loopback_http=allow_loopback_http)

    def __repr__(self) -> str:
        return "ApiKeyAuth()"

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """What clients of httpx2 and httpx call."""
        authorization = self.authorization_for(request.url)
        if authorization is not None:
            request.headers["Authorization"] = authorization
        yield request

    def authorization_for(self, url: object) -> str | None:
        """Return the header value for a request to ``url``; None where the key does not belong."""
        origin = Origin.of(url)
        if not self._origins:
            origin.require_secure(allow_loopback_http=self._allow_loopback_http)
            # One of all threads that come first has the say.
            self._origins.setdefault("its own", origin)
        return self._authorization.text if origin == self._origins["its own"] else None


class _Hidden:
    """A text that no ``repr`` shows, also not that of an object's attributes."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text
