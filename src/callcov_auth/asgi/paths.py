"""Which paths are open. Closed is the default, and the answer to every doubt."""

import re
from dataclasses import dataclass

from starlette.types import Scope

from callcov_auth.settings import AuthSettings

# What another part of the app might still resolve to a different path: dot segments, empty ones, a
# second round of percent-decoding, the other slash, controls.
_DOUBTFUL = re.compile(r"//|/\.{1,2}(?:/|$)|[%\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Exact paths, and prefixes that end with a slash."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.exact and not self.prefixes

    def match(self, path: str) -> bool:
        if path in self.exact:
            return True
        return bool(self.prefixes) and path.startswith(self.prefixes) and not _DOUBTFUL.search(path)


def public_patterns(settings: AuthSettings) -> Patterns:
    """Return what is open without a credential: what the settings say, and our own open routes."""
    own = [
        settings.api_prefix + "/auth/login",
        settings.api_prefix + "/auth/refresh",
        "/.well-known/jwks.json",
    ]
    with_slash = [path + "/" for path in own]
    return _patterns([*settings.public_paths, *settings.optional_paths, *own, *with_slash])


def optional_patterns(settings: AuthSettings) -> Patterns:
    """Return where a credential that does not hold counts as none."""
    return _patterns(settings.optional_paths)


def path_in_app(scope: Scope) -> str:
    """Return the path that the app's own router matches: below its ``root_path``, decoded."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _patterns(patterns: list[str] | tuple[str, ...]) -> Patterns:
    return Patterns(
        exact=frozenset(pattern for pattern in patterns if not pattern.endswith("/*")),
        prefixes=tuple(pattern[:-1] for pattern in patterns if pattern.endswith("/*")),
    )
