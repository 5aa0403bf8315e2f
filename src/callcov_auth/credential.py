"""The value of an ``Authorization`` header, read to the letter.

The grammar is RFC 6750 §2.1 (``Bearer`` and a ``b64token``) in the frame of RFC 9110 §11.6.2.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from callcov_auth.errors import InvalidToken

MAX_VALUE_BYTES = 8192

# OWS (RFC 9110 §5.6.3) is only space and tab; a field value holds no other white space.
_OWS = b" \t"
# b64token, RFC 6750 §2.1.
_B64TOKEN = rb"[A-Za-z0-9\-._~+/]+=*"
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +(" + _B64TOKEN + rb")")
# Three base64url parts; what they hold is the token verifier's question.
_JWT_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What our API keys start with.
KEY_STARTS = ("sk_",)

MALFORMED_HEADER = "The Authorization header is malformed"
UNSUPPORTED_SCHEME = "The Authorization scheme is not Bearer"
UNKNOWN_FORM = "The credential is neither an API key nor a token"


# Not frozen, which would double the time to make one, and one is made for each forged key of a flood.
@dataclass(slots=True)
class Credential:
    """An API key or a token as it was sent. Its text is a secret and stays out of ``repr``."""

    kind: Literal["api_key", "token"]
    text: str = field(repr=False)

    @property
    def header(self) -> bytes:
        """The header value as nearly every client writes it; one credential has one, however it was sent."""
        return b"Bearer " + self.text.encode("ascii")


def parse_authorization(value: bytes, key_starts: tuple[str, ...] = KEY_STARTS) -> Credential:
    """Read the whole value of one ``Authorization`` header, in which a key starts with one of ``key_starts``.

    Raises InvalidToken for everything that is not exactly one Bearer credential.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidToken(MALFORMED_HEADER, reason="header_too_long")
    trimmed = value.strip(_OWS)
    bearer = _BEARER.fullmatch(trimmed)
    if bearer is None:
        raise _not_bearer(trimmed)
    return classify(bearer[1].decode("ascii"), key_starts)


def classify(text: str, key_starts: tuple[str, ...] = KEY_STARTS) -> Credential:
    """Tell an API key from a token by its form alone. Raises InvalidToken for anything else."""
    # Where any text may be a key, what looks like a token is still one.
    if text.startswith(key_starts) and not ("" in key_starts and _JWT_SHAPE.fullmatch(text)):
        return Credential("api_key", text)
    if _JWT_SHAPE.fullmatch(text):
        return Credential("token", text)
    raise InvalidToken(UNKNOWN_FORM, reason="unknown_form")


def _not_bearer(value: bytes) -> InvalidToken:
    scheme = value.split(b" ", 1)[0]
    if scheme and scheme.lower() != b"bearer":
        return InvalidToken(UNSUPPORTED_SCHEME, reason="unsupported_scheme")
    return InvalidToken(MALFORMED_HEADER, reason="header_malformed")
