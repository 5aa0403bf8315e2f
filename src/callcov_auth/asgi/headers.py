"""Request headers, as ASGI has them: pairs of bytes, names in lower case."""

from starlette.types import Scope


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return the value of every header line with this name."""
    found = []
    # No comprehension, which is a call of its own on Python 3.11.
    for header, value in scope["headers"]:
        if header == name:
            found.append(value)
    return found
