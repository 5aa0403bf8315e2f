"""AuthMiddleware as the outermost layer: ``app = AuthMiddleware(app, …)`` instead of ``add_middleware``."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from callcov_auth import AuthMiddleware
from tests.server.seeding import Seeded
from tests.server.site import ROUTES
from tests.server.socket_client import be_refused
from tests.support.raw_http import ask
from tests.support.servers import serve


def zipped(**options: Any) -> ASGIApp:
    return GZipMiddleware(Starlette(**options))


@pytest.fixture(scope="module", params=[Starlette, FastAPI, zipped])
def site(request: pytest.FixtureRequest, seeded: Seeded) -> Iterator[str]:
    with serve(AuthMiddleware(request.param(routes=ROUTES), settings=seeded.settings)) as url:
        yield url


def test_a_good_credential_is_let_in(site: str, seeded: Seeded) -> None:
    assert ask(site, "/api/v1/analysis/", *seeded.lines("key")).status == 200


def test_none_is_refused(site: str) -> None:
    assert ask(site, "/api/v1/analysis/").status == 401


def test_requires_refuses_in_our_form(site: str, seeded: Seeded) -> None:
    answer = ask(site, "/api/v1/analysis/", *seeded.lines("narrow_key"))

    assert (answer.status, answer.error["code"]) == (403, "insufficient_permissions")


def test_requires_refuses_a_websocket_before_it_is_accepted(site: str, seeded: Seeded) -> None:
    refusal = be_refused(site, "/ws/reads", *seeded.lines("narrow_key"))

    assert (refusal.status, refusal.error["code"]) == (403, "insufficient_permissions")
