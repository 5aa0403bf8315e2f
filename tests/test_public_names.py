"""The names that other programs import. A change here breaks them."""

import importlib
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

import callcov_auth
import callcov_auth.testing
from callcov_auth import (
    Auth,
    AuthError,
    auth_routes,
)
from callcov_auth.fastapi import router
from tests.support.settings import make_settings

NAMES = {
    "ANONYMOUS",
    "Auth",
    "AuthError",
    "AuthMiddleware",
    "AuthSettings",
    "Principal",
    "__version__",
    "auth_routes",
    "current_principal",
    "requires",
}

CODES = {
    "missing_token",
    "invalid_token",
    "token_expired",
    "token_revoked",
    "invalid_credentials",
    "insufficient_permissions",
    "https_required",
    "not_found",
    "conflict",
    "key_limit_reached",
    "malformed_json",
    "body_too_large",
    "validation_error",
    "rate_limited",
    "auth_unavailable",
    "internal_error",
}

ROUTES = {
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/api-keys/"),
    ("GET", "/api/v1/api-keys/"),
    ("GET", "/api/v1/api-keys/{key_id}"),
    ("DELETE", "/api/v1/api-keys/{key_id}"),
    ("POST", "/api/v1/api-keys/{key_id}/rotate"),
    ("GET", "/api/v1/users/me"),
    ("GET", "/api/v1/auth/check"),
    ("GET", "/.well-known/jwks.json"),
}

DATABASES = ("sqlalchemy", "alembic", "sqlite3", "psycopg", "redis")
# What a program that only imports the package does not pay for.
HEAVY = (
    *DATABASES,
    "uvicorn",
    "fastapi",
    "starlette",
    "argon2",
    "bcrypt",
    "cryptography",
    "jwt",
    "pydantic",
    "pydantic_settings",
    "anyio",
    "httpx2",
    "httpx",
    "pytest",
    "typer",
)
# What each name loads none of when it is first used.
UNUSED = {
    "Principal": HEAVY,
    "AuthError": HEAVY,
    "AuthSettings": (*DATABASES, "uvicorn", "fastapi", "argon2", "cryptography", "jwt"),
    "requires": (*DATABASES, "uvicorn", "fastapi", "argon2", "cryptography", "jwt"),
    "AuthMiddleware": (*DATABASES, "uvicorn", "fastapi", "httpx2", "httpx"),
}


def endpoints(routes: Iterable[BaseRoute]) -> Counter[tuple[str, str]]:
    """Each method with each path; HEAD comes with every GET."""
    return Counter(
        (method, route.path)
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    )


def with_either_ending(pairs: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    return Counter((method, path.rstrip("/") + slash) for method, path in pairs for slash in ("", "/"))


@pytest.fixture
def closed_auth() -> Auth:
    return Auth(make_settings())


def test_the_package_names_exactly_these() -> None:
    assert set(callcov_auth.__all__) == NAMES
    assert len(callcov_auth.__all__) == len(NAMES)
    assert dir(callcov_auth) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_can_be_used(name: str) -> None:
    assert getattr(callcov_auth, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Authentication'"):
        _ = callcov_auth.Authentication


def test_auth_is_an_async_context_manager(closed_auth: Auth) -> None:
    assert inspect.iscoroutinefunction(closed_auth.__aenter__)
    assert inspect.iscoroutinefunction(closed_auth.__aexit__)


def test_each_refusal_code_has_one_class() -> None:
    ours = [error for error in AuthError.__subclasses__() if error.__module__ == "callcov_auth.errors"]
    assert Counter(error.code for error in ours) == Counter(CODES)


def test_the_starlette_routes_are_exactly_these(closed_auth: Auth) -> None:
    assert endpoints(auth_routes(closed_auth)) == with_either_ending(ROUTES)


def test_the_fastapi_router_has_the_same(closed_auth: Auth) -> None:
    assert endpoints(router(closed_auth).routes) == with_either_ending(ROUTES)


def test_openapi_shows_each_path_once_as_it_is_written(closed_auth: Auth) -> None:
    app = FastAPI()
    app.include_router(router(closed_auth))
    shown = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert shown == ROUTES


def loaded_by(statement: str, names: Iterable[str]) -> str:
    program = f"import sys; {statement}; print([name for name in {tuple(names)!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import callcov_auth", HEAVY) == "[]"


@pytest.mark.parametrize("name", UNUSED)
def test_a_name_loads_no_more_than_it_needs(name: str) -> None:
    assert loaded_by(f"from callcov_auth import {name}", UNUSED[name]) == "[]"


def test_what_is_looked_for_is_there_to_be_loaded() -> None:
    assert loaded_by(f"import {', '.join(HEAVY)}", HEAVY) == str(list(HEAVY))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("callcov_auth.client", {"ApiKeyAuth", "InsecureOrigin", "LoginFailed", "RequestsAuth", "TokenAuth"}),
        (
            "callcov_auth.testing",
            {
                "Clock",
                "auth_settings",
                "fake_auth",
                "key_principal",
                "mint_key",
                "mint_token",
                "store_contract",
                "token_principal",
            },
        ),
    ],
)
def test_the_other_doors_name_exactly_these(module: str, names: set[str]) -> None:
    found = importlib.import_module(module)
    assert set(found.__all__) == names
    for name in names:
        assert getattr(found, name) is not None
    with pytest.raises(AttributeError):
        _ = found.nothing


def test_dir_of_testing_is_its_names() -> None:
    assert dir(callcov_auth.testing) == sorted(callcov_auth.testing.__all__)
