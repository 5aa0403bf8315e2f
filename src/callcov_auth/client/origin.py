"""Where a credential may go."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from callcov_auth.client.errors import InsecureOrigin

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: RFC 6454 §4."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, url: object) -> Self:
        """Return the origin of ``url``, which any library's own URL may be. Raises ValueError."""
        parts = urlsplit(str(url))
        scheme = parts.scheme.lower()
        return cls(scheme, _ascii(parts.hostname or ""), parts.port or _DEFAULT_PORTS.get(scheme))

    def require_secure(self, *, allow_loopback_http: bool) -> None:
        """Raises InsecureOrigin where it is not HTTPS."""
        if self.scheme == "https":
            return
        if self.scheme == "http" and allow_loopback_http and self._is_loopback():
            return
        raise InsecureOrigin()

    def _is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def secure_origin(base_url: str, *, allow_loopback_http: bool) -> Origin:
    """Return the origin of an API's address. Raises InsecureOrigin, and ValueError for what is no address."""
    parts = urlsplit(base_url)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "base_url is an address such as https://api.example.com, without user, query or fragment"
        )
    origin = Origin.of(base_url)
    origin.require_secure(allow_loopback_http=allow_loopback_http)
    return origin


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host
