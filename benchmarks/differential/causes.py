"""Why joserfc may refuse what we take: a table, and nothing that stands not in it."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import ExceededSizeError, InvalidHeaderValueError, UnsupportedHeaderError
from joserfc.registry import JWS_HEADER_REGISTRY

# What offers or describes a key; RFC 7515 §4.1.2, §4.1.3, §4.1.5 to §4.1.8.
ABOUT_KEYS = ("jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256")
JOSERFC_HEADER_BYTES = 512

Header = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """A difference that is meant: which, why, and how it is told."""

    name: str
    why: str
    holds: Callable[[Exception, Header, str], bool] = field(repr=False)


def _names_the_unknown(refusal: Exception, header: Header, _token: str) -> bool:
    unknown = header.keys() - JWS_HEADER_REGISTRY.keys()
    return isinstance(refusal, UnsupportedHeaderError) and bool(unknown)


def _speaks_of_keys(refusal: Exception, header: Header, _token: str) -> bool:
    wrong = [name for name in ABOUT_KEYS if name in header and f"'{name}'" in str(refusal)]
    return isinstance(refusal, InvalidHeaderValueError) and bool(wrong)


def _has_a_long_header(refusal: Exception, _header: Header, token: str) -> bool:
    return isinstance(refusal, ExceededSizeError) and len(token.split(".")[0]) > JOSERFC_HEADER_BYTES


CAUSES = (
    Cause(
        "a header that nobody registered",
        "RFC 7515 §4 wants those ignored that are not understood; what must be understood stands in 'crit', "
        "and any 'crit' is refused",
        _names_the_unknown,
    ),
    Cause(
        "a malformed header about keys",
        "these headers are never read, so that no form of theirs can matter (RFC 8725 §3.10)",
        _speaks_of_keys,
    ),
    Cause(
        "a header above 512 bytes",
        "joserfc bounds each part by itself; we bound the whole token, at 8 KiB",
        _has_a_long_header,
    ),
)


def explain(token: str, refusal: Exception) -> str | None:
    """Return the name of the cause of joserfc's ``refusal``, or None: then nobody knows it."""
    part = token.split(".")[0]
    header = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return next((cause.name for cause in CAUSES if cause.holds(refusal, header, token)), None)
