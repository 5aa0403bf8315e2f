"""What the servers answered, and what must hold of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_INVALID = 'Bearer realm="callcov", error="invalid_token", error_description="[^"]+"'
# Patterns; a code that is not here has no challenge.
_CHALLENGES = {
    "missing_token": 'Bearer realm="callcov"',
    "invalid_token": _INVALID,
    "token_expired": _INVALID,
    "token_revoked": _INVALID,
    "insufficient_permissions": 'Bearer realm="callcov", error="insufficient_scope"',
}


class NotHeld(Exception):
    """A step does not hold. Neither text ever shows a credential."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}, came {came}")
        self.expected = expected
        self.came = came


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, or how a WebSocket handshake ended: refused, or 101 and then the first message."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise NotHeld("a body in JSON", f"{len(self.body)} bytes of something else") from None

    @property
    def code(self) -> str:
        """The refusal's code; empty where the body is not a refusal's."""
        if self.status < 400 or not self.body.startswith(b'{"error"'):
            return ""
        return str(self.json["error"].get("code", ""))

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()


def hold(holds: bool, expected: str, came: object) -> None:
    """Raises NotHeld, unless ``holds``; ``came`` must be nothing secret."""
    if not holds:
        raise NotHeld(expected, str(came))


def accepted(answer: Answer, status: int = 200) -> Any:
    """Return the JSON of an answer that must have this status."""
    hold(answer.status == status, str(status), answer)
    return answer.json


def refused(answer: Answer, status: int, code: str, *, scope: str = "") -> Mapping[str, Any]:
    """Return the ``error`` of a refusal, which must be whole: its code, its challenge and one request id."""
    hold(str(answer) == f"{status} {code}", f"{status} {code}", answer)
    challenge = answer.headers.get("www-authenticate", "")
    wanted = _CHALLENGES.get(code, "") + (f', scope="{scope}"' if scope else "")
    fits = re.fullmatch(wanted, challenge) is not None
    hold(fits, f"the challenge {wanted or 'none'}", challenge or "none")
    error: Mapping[str, Any] = answer.json["error"]
    request_id = answer.headers.get("x-request-id")
    hold(error.get("request_id") == request_id, f"request id {request_id}", error.get("request_id"))
    return error


def not_stored(answer: Answer) -> None:
    """Hold that no cache on the way keeps the answer."""
    caching = answer.headers.get("cache-control")
    hold(caching == "no-store", "cache-control no-store", caching)
