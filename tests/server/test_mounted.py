"""Below a ``root_path``, inside a mount, and around mounted apps: the path that counts is the app's own."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from callcov_auth import Auth, AuthMiddleware
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.server.site import ROUTES, make_site
from tests.support.raw_http import ask
from tests.support.servers import serve

LOGIN = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()


@pytest.fixture(scope="module")
def prefixed(seeded: Seeded) -> Iterator[str]:
    """Behind a proxy that strips /prefix, which uvicorn is told of."""
    with serve(make_site(Auth(seeded.settings)), root_path="/prefix") as url:
        yield url


@pytest.fixture(scope="module")
def mounted(seeded: Seeded) -> Iterator[str]:
    """The guarded app at /sub of an app without a guard."""
    with serve(Starlette(routes=[Mount("/sub", make_site(Auth(seeded.settings)))])) as url:
        yield url


@pytest.fixture(scope="module", params=[Starlette, FastAPI])
def mounting(request: pytest.FixtureRequest, seeded: Seeded) -> Iterator[str]:
    """An app without a guard at /sub of the guarded app."""
    guard = Middleware(AuthMiddleware, settings=seeded.settings)
    with serve(Starlette(routes=[Mount("/sub", request.param(routes=ROUTES))], middleware=[guard])) as url:
        yield url


def test_a_root_path_is_not_part_of_a_pattern(prefixed: str) -> None:
    assert ask(prefixed, "/health").status == 200
    assert ask(prefixed, "/docs/a").status == 200
    assert ask(prefixed, "/prefix/health").status == 401
    assert ask(prefixed, "/api/v1/analysis/").status == 401
    assert ask(prefixed, "/docs/../x").status == 401


def test_our_own_routes_are_open_below_a_root_path(prefixed: str) -> None:
    assert ask(prefixed, "/api/v1/auth/login", method="POST", body=LOGIN).status == 200


def test_a_mount_is_not_part_of_a_pattern(mounted: str) -> None:
    assert ask(mounted, "/sub/health").status == 200
    assert ask(mounted, "/sub/docs/a").status == 200
    assert ask(mounted, "/sub/sub/health").status == 401
    assert ask(mounted, "/sub/api/v1/analysis/").status == 401
    assert ask(mounted, "/sub/docs/../x").status == 401


def test_a_mounted_guard_that_hears_of_no_lifespan_opens_at_first_use(mounted: str, seeded: Seeded) -> None:
    assert ask(mounted, "/sub/api/v1/auth/login", method="POST", body=LOGIN).status == 200
    assert ask(mounted, "/sub/api/v1/analysis/", *seeded.lines("key")).status == 200
    assert ask(mounted, "/sub/api/v1/analysis/", *seeded.lines("revoked_key")).status == 401


def test_a_pattern_means_the_whole_path_of_an_app_that_mounts_others(mounting: str, seeded: Seeded) -> None:
    assert ask(mounting, "/sub/health").status == 401
    assert ask(mounting, "/sub/health", *seeded.lines("key")).status == 200
    assert ask(mounting, "/sub/docs/a").status == 401


def test_requires_refuses_in_our_form_inside_a_mounted_app(mounting: str, seeded: Seeded) -> None:
    answer = ask(mounting, "/sub/api/v1/analysis/", *seeded.lines("narrow_key"))

    assert (answer.status, answer.error["code"]) == (403, "insufficient_permissions")
