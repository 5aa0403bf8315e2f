"""base64url in its only canonical form: RFC 7515 §2, no padding, and no bits left over."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_PART = re.compile(r"[A-Za-z0-9_-]*")
# With two or three characters in the last group, four or two bits are left over, and they are zero.
_CANONICAL_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


class NotBase64url(ValueError):
    """The text is not canonical base64url; this one's own text is a short reason and holds none of it."""


def encode(value: bytes) -> str:
    """Return ``value`` in this form."""
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return what ``text`` encodes. Raises NotBase64url."""
    if not _PART.fullmatch(text):
        raise NotBase64url("not_base64url")
    rest = len(text) % 4
    if rest == 1 or (rest and text[-1] not in _CANONICAL_LAST[rest]):
        raise NotBase64url("not_canonical_base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
