"""What a token must be before its signature is looked at.

The form is that of RFC 7515 §7.1, JSON as RFC 7493 (I-JSON) wants it, the dangers those of RFC 8725. A
guard refuses with an InvalidToken that tells the client nothing but that, and the log its reason.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from callcov_auth.errors import InvalidToken
from callcov_auth.strict_json import NotStrictJson, read_object

DESCRIPTION = "The token is not valid"

# Any of these changes what is signed or how it is read, and we understand none of them
# (RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1.3, RFC 7519 §5.2).
_REFUSED_HEADERS = ("crit", "b64", "zip", "cty")

_PART = re.compile(r"[A-Za-z0-9_-]+")
# With two or three characters in the last group, four or two bits are left over, and they are zero.
_CANONICAL_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token in parts, well-formed; nobody has vouched for what it says."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def refused(reason: str) -> InvalidToken:
    """Return the refusal of a token; ``reason`` is for the log alone."""
    return InvalidToken(DESCRIPTION, reason=f"token_{reason}")


def take_apart(token: str) -> Unverified:
    """Read a compact JWS. Raises InvalidToken for whatever is not one in its only canonical form."""
    parts = token.split(".")
    if len(parts) != 3:
        raise refused("not_three_parts")
    header_part, claims_part, signature_part = parts
    header = _json_object(_decoded(header_part))
    _refuse_headers(header)
    return Unverified(
        header=header,
        claims=_json_object(_decoded(claims_part)),
        signed=f"{header_part}.{claims_part}".encode("ascii"),
        signature=_decoded(signature_part),
    )


def _decoded(part: str) -> bytes:
    if not _PART.fullmatch(part):
        raise refused("not_base64url")
    rest = len(part) % 4
    if rest == 1 or (rest and part[-1] not in _CANONICAL_LAST[rest]):
        raise refused("not_canonical_base64url")
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        return read_object(raw)
    except NotStrictJson as error:
        raise refused(str(error)) from None


def _refuse_headers(header: Mapping[str, Any]) -> None:
    for name in _REFUSED_HEADERS:
        if name in header:
            raise refused(f"header_{name}")
