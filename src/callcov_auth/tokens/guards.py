"""What a token must be before its signature is looked at.

The form is that of RFC 7515 §7.1, JSON as RFC 7493 (I-JSON) wants it, the dangers those of RFC 8725. A
guard refuses with an InvalidToken that tells the client nothing but that, and the log its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from callcov_auth import base64url
from callcov_auth.credential import MAX_VALUE_BYTES
from callcov_auth.errors import InvalidToken
from callcov_auth.strict_json import NotStrictJson, read_object

DESCRIPTION = "The token is not valid"

# A refresh token comes in a body, not in the header that has this bound already.
MAX_TOKEN_LENGTH = MAX_VALUE_BYTES

# Any of these changes what is signed or how it is read, and we understand none of them
# (RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1.3, RFC 7519 §5.2). Those that offer a key ('jku', 'jwk',
# 'x5u', 'x5c') are never read, so that they need no refusal.
REFUSED_HEADERS = ("crit", "b64", "zip", "cty")


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token in parts, well-formed; nobody has vouched for what it says."""

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def claims(self) -> dict[str, Any]:
        """Return the payload as a JSON object. Raises InvalidToken."""
        return _json_object(self.payload)


def refused(reason: str) -> InvalidToken:
    """Return the refusal of a token; ``reason`` is for the log alone."""
    return InvalidToken(DESCRIPTION, reason=f"token_{reason}")


def take_apart(token: str) -> Unverified:
    """Read a compact JWS. Raises InvalidToken for whatever is not one in its only canonical form.

    An empty payload passes here, for a JWS may have one; it is no JSON object, so that no token has.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise refused("too_long")
    parts = token.split(".")
    if len(parts) != 3:
        raise refused("not_three_parts")
    header_part, payload_part, signature_part = parts
    header = _json_object(_decoded(header_part))
    for name in REFUSED_HEADERS:
        if name in header:
            raise refused(f"header_{name}")
    return Unverified(
        header=header,
        payload=_decoded(payload_part),
        signed=f"{header_part}.{payload_part}".encode("ascii"),
        signature=_decoded(signature_part),
    )


def _decoded(part: str) -> bytes:
    try:
        return base64url.decode(part)
    except base64url.NotBase64url as error:
        raise refused(str(error)) from None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        return read_object(raw)
    except NotStrictJson as error:
        raise refused(str(error)) from None
