"""Request headers, as ASGI has them: pairs of bytes, names in lower case."""

from starlette.types import Scope


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return the value of every header line with this name."""
    return [value for header, value in scope["headers"] if header == name]
