"""An app that is measured."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Subject:
    """An app with a package's authentication, beside the same app without.

    ``app`` answers ``GET /hello`` with 200 for a caller who sends ``headers()``, which makes new bytes at
    each call, as a server does. ``bare`` answers it for anybody, with the same framework. ``tuned`` is false
    for what the package's documentation shows. ``more`` and ``less`` say in a sentence what the package does
    that callcov-auth does not, and the other way about.
    """

    name: str
    tuned: bool
    app: ASGIApp
    bare: ASGIApp
    headers: Callable[[], Headers]
    more: str
    less: str
