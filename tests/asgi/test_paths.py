"""Which paths are open; doubt closes."""

import pytest

from callcov_auth.asgi.paths import optional_patterns, path_in_app, public_patterns
from tests.support.settings import make_settings

SETTINGS = make_settings(public_paths=["/health", "/docs/*"], optional_paths=["/feed"])


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/health", True),
        ("/feed", True),
        ("/health/", False),
        ("/Health", False),
        ("/healthy", False),
        ("/docs", False),
        ("/docs/", True),
        ("/docs/a/b", True),
        ("/docs/../api", False),
        ("/docs/./api", False),
        ("/docs/a/..", False),
        ("/docs//a", False),
        ("/docs/%2e%2e/a", False),
        ("/docs/a\\b", False),
        ("/docs/a\x00", False),
        ("/docs/..a/b", True),
        ("/docs/...", True),
        ("//docs/a", False),
        ("/api/v1/auth/login", True),
        ("/api/v1/auth/login/", True),
        ("/api/v1/auth/refresh", True),
        ("/api/v1/auth/refresh/", True),
        ("/.well-known/jwks.json", True),
        ("/api/v1/auth/logout", False),
        ("/api/v1/auth/login/x", False),
        ("/auth/login", False),
        ("", False),
        ("/", False),
    ],
)
def test_what_is_public(path: str, public: bool) -> None:
    assert public_patterns(SETTINGS).match(path) is public


def test_nothing_but_our_own_open_routes_is_public_by_default() -> None:
    patterns = public_patterns(make_settings(api_prefix=""))
    assert patterns.match("/auth/login")
    assert not patterns.match("/docs")
    assert patterns.prefixes == ()


def test_only_optional_paths_forgive_a_bad_credential() -> None:
    assert optional_patterns(SETTINGS).match("/feed")
    assert not optional_patterns(SETTINGS).match("/health")


@pytest.mark.parametrize(
    ("path", "root", "in_app"),
    [
        ("/a", "", "/a"),
        ("/mount/a", "/mount", "/a"),
        ("/mount", "/mount", ""),
        ("/mounted/a", "/mount", "/mounted/a"),
        ("/a", "/mount", "/a"),
    ],
)
def test_the_path_below_the_root(path: str, root: str, in_app: str) -> None:
    assert path_in_app({"path": path, "root_path": root}) == in_app
    assert path_in_app({"path": path}) == path
