"""Whether a request came over HTTPS, and from where, behind proxies or not."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from starlette.types import Scope

from callcov_auth.asgi.headers import header_values
from callcov_auth.rates import network_of
from callcov_auth.setting_types import Network

Address = IPv4Address | IPv6Address
Proxies = Sequence[Network | Literal["unix"]]
SECURE_SCHEMES = frozenset({"https", "wss"})


def is_secure(scope: Scope, proxies: Proxies) -> bool:
    """Whether the client's own connection was encrypted.

    A trusted proxy's ``X-Forwarded-Proto`` decides where it is sent; of a list, every member must be
    secure, for which of them speaks of the client cannot be known.
    """
    if proxies and _is_trusted(_peer(scope), proxies):
        forwarded = _members(scope, b"x-forwarded-proto")
        if forwarded:
            return all(scheme.lower() in SECURE_SCHEMES for scheme in forwarded)
    return scope.get("scheme") in SECURE_SCHEMES


def speaks_for_client(scope: Scope, proxies: Proxies) -> bool:
    """Whether the peer is a proxy of ours, whose word on the client's request counts."""
    return bool(proxies) and _is_trusted(_peer(scope), proxies)


def client_address(scope: Scope, proxies: Proxies) -> str | None:
    """Return the client's address: of ``X-Forwarded-For`` the last that no trusted proxy has."""
    peer = _peer(scope)
    if not proxies or not _is_trusted(peer, proxies):
        return _text(peer)
    for hop in reversed(_members(scope, b"x-forwarded-for")):
        address = _address(hop)
        if address is None:
            # What stands left of something unreadable was not written by a proxy of ours.
            return _text(peer)
        peer = address
        if not _is_trusted(address, proxies):
            break
    return _text(peer)


def source_of(scope: Scope, proxies: Proxies) -> str | None:
    """Return what the client is counted by, see ``network_of``; None where its address is not known.

    So it is on a socket file, where whoever is behind a proxy that is not trusted would count as one.
    """
    if proxies:
        address = client_address(scope, proxies)
        return None if address in (None, "unix") else network_of(address)
    client = scope.get("client")
    return _source(client[0]) if client else None


# Remembered, for it is asked at the rate of an attack.
@lru_cache(maxsize=4096)
def _source(text: str) -> str | None:
    address = _address(text)
    return None if address is None else network_of(str(address))


def _peer(scope: Scope) -> Address | Literal["unix"] | None:
    client = scope.get("client")
    return _address(client[0]) if client else "unix"


# Remembered, for a server's peers are few where it stands behind proxies, and reading one is slow.
@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    # A socket that takes both families shows an IPv4 peer as ::ffff:10.0.0.1.
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(peer: Address | Literal["unix"] | None, proxies: Proxies) -> bool:
    if peer is None:
        return False
    if peer == "unix":
        return "unix" in proxies
    return any(network != "unix" and peer in network for network in proxies)


def _members(scope: Scope, name: bytes) -> list[str]:
    text = ",".join(value.decode("latin-1") for value in header_values(scope, name))
    return [member.strip() for member in text.split(",") if member.strip()]


def _text(peer: Address | Literal["unix"] | None) -> str | None:
    return None if peer is None else str(peer)
