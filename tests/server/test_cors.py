"""CORS: preflights are closed by default, and CORSMiddleware belongs outside."""

import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from callcov_auth import Auth, AuthMiddleware
from tests.server.seeding import Seeded
from tests.server.site import ROUTES, make_site
from tests.support.raw_http import ask
from tests.support.servers import serve

ORIGIN = "https://app.example.com"
CORS = Middleware(
    CORSMiddleware,
    allow_origins=[ORIGIN],
    allow_headers=["Authorization"],
    expose_headers=["WWW-Authenticate"],
)
FROM_BROWSER = b"Origin: " + ORIGIN.encode()
PREFLIGHT = [
    FROM_BROWSER,
    b"Access-Control-Request-Method: GET",
    b"Access-Control-Request-Headers: authorization",
]


@pytest.fixture(scope="module")
def plain(seeded: Seeded) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings))) as url:
        yield url


@pytest.fixture(scope="module")
def outside(seeded: Seeded) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings), CORS)) as url:
        yield url


def test_a_preflight_is_closed_by_default(plain: str) -> None:
    answer = ask(plain, "/api/v1/analysis/", *PREFLIGHT, method="OPTIONS")

    assert (answer.status, answer.error["code"]) == (401, "missing_token")
    assert answer.header("access-control-allow-origin") is None


def test_a_preflight_is_answered_by_a_cors_middleware_outside(outside: str) -> None:
    answer = ask(outside, "/api/v1/analysis/", *PREFLIGHT, method="OPTIONS")

    assert (answer.status, answer.header("access-control-allow-origin")) == (200, ORIGIN)


@pytest.mark.parametrize(("credential", "status"), [(None, 401), ("expired_token", 401), ("narrow_key", 403)])
def test_refusals_carry_its_headers_so_that_a_browser_may_read_them(
    outside: str, seeded: Seeded, credential: str | None, status: int
) -> None:
    answer = ask(outside, "/api/v1/analysis/", FROM_BROWSER, *seeded.lines(credential))

    assert answer.status == status
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("access-control-expose-headers") == "WWW-Authenticate"
    assert answer.error["request_id"] == answer.header("x-request-id")


def test_another_origin_gets_none(outside: str) -> None:
    answer = ask(outside, "/api/v1/analysis/", b"Origin: https://evil.example")

    assert (answer.status, answer.header("access-control-allow-origin")) == (401, None)


def warnings_of(app: Starlette | AuthMiddleware, caplog: pytest.LogCaptureFixture) -> list[str]:
    with serve(app):
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
@pytest.mark.parametrize("between", [[], [Middleware(GZipMiddleware)]])
def test_one_inside_is_warned_about_at_start_with_the_cure(
    seeded: Seeded,
    caplog: pytest.LogCaptureFixture,
    framework: type[Starlette],
    between: list[Middleware],
) -> None:
    guard = Middleware(AuthMiddleware, settings=seeded.settings)

    [warning] = warnings_of(framework(middleware=[guard, *between, CORS]), caplog)

    assert warning == (
        "CORSMiddleware is inside AuthMiddleware, so browsers see refusals and preflights without "
        "CORS headers: add it after AuthMiddleware, which puts it outside"
    )


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_one_of_an_app_that_is_wrapped_whole_is_warned_about_too(
    seeded: Seeded, caplog: pytest.LogCaptureFixture, framework: type[Starlette]
) -> None:
    app = AuthMiddleware(framework(routes=ROUTES, middleware=[CORS]), settings=seeded.settings)

    assert len(warnings_of(app, caplog)) == 1


def test_one_outside_is_not_warned_about(seeded: Seeded, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    app.add_middleware(AuthMiddleware, settings=seeded.settings)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN])

    assert warnings_of(app, caplog) == []
