"""Where a request may carry its credential: in one place, once."""

from dataclasses import dataclass, field

from starlette.types import Scope

from callcov_auth.asgi.headers import header_values
from callcov_auth.credential import KEY_STARTS, classify
from callcov_auth.errors import InvalidToken

_SUBPROTOCOL = "bearer"


@dataclass(frozen=True, slots=True)
class Places:
    """The places to look at beside ``Authorization``, both off by default; and what a key starts with."""

    api_key_header: bytes | None = None
    websocket_protocol: bool = False
    key_starts: tuple[str, ...] = KEY_STARTS
    only_authorization: bool = field(init=False)

    def __post_init__(self) -> None:
        alone = self.api_key_header is None and not self.websocket_protocol
        object.__setattr__(self, "only_authorization", alone)


def find_authorization(scope: Scope, places: Places) -> bytes | None:
    """Return the credential as the value of an ``Authorization`` header; None where there is none.

    Raises InvalidToken for two of them, in one place or in several.
    """
    found = header_values(scope, b"authorization")
    if not places.only_authorization:
        found += _from_key_header(scope, places) + _from_subprotocols(scope, places)
    if len(found) > 1:
        raise InvalidToken("The request carries more than one credential", reason="several_credentials")
    return found[0] if found else None


def hide_subprotocol(scope: Scope) -> None:
    """Take the credential out of what a WebSocket offers, so that the app can neither see nor echo it."""
    offered = scope["subprotocols"]
    at = offered.index(_SUBPROTOCOL)
    kept = [*offered[: at + 1], *offered[at + 2 :]]
    scope["subprotocols"] = kept
    line = (b"sec-websocket-protocol", ", ".join(kept).encode("latin-1"))
    others = [header for header in scope["headers"] if header[0] != b"sec-websocket-protocol"]
    scope["headers"] = [*others, line]


def offers_bearer(scope: Scope) -> bool:
    return _SUBPROTOCOL in (scope.get("subprotocols") or ())


def _from_key_header(scope: Scope, places: Places) -> list[bytes]:
    if places.api_key_header is None:
        return []
    values = header_values(scope, places.api_key_header)
    if not all(_is_key(value, places) for value in values):
        raise InvalidToken("The API key header holds no API key", reason="key_header_malformed")
    return [b"Bearer " + value for value in values]


def _is_key(value: bytes, places: Places) -> bool:
    try:
        return classify(value.decode("latin-1"), places.key_starts).kind == "api_key"
    except InvalidToken:
        return False


def _from_subprotocols(scope: Scope, places: Places) -> list[bytes]:
    if not places.websocket_protocol or scope["type"] != "websocket" or not offers_bearer(scope):
        return []
    offered = scope["subprotocols"]
    credential = offered[offered.index(_SUBPROTOCOL) + 1 :][:1]
    if not credential or offered.count(_SUBPROTOCOL) > 1:
        raise InvalidToken("The offered subprotocols are malformed", reason="subprotocol_malformed")
    return [b"Bearer " + credential[0].encode("latin-1", "replace")]
