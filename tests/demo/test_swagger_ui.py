"""Swagger UI in a real browser, against a real server: log in, try a route, be refused."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Locator, Page, expect

from callcov_auth import Auth
from callcov_auth.demo.app import demo_app
from callcov_auth.demo.settings import PASSWORD, DemoSettings, demo_settings
from callcov_auth.fastapi import REFUSALS, Authenticated, Scoped, router
from tests.support.chromium import chromium, page_of
from tests.support.servers import serve

EMAIL = "reader@example.com"
PATH = "/api/v1/analysis/"


def guarded_demo(auth: Auth) -> tuple[FastAPI, str]:
    return demo_app(auth), "/docs"


def without_middleware(auth: Auth) -> tuple[FastAPI, str]:
    app = FastAPI(responses=REFUSALS, lifespan=lambda _: opened(auth))
    app.include_router(router(auth))

    @app.get(PATH)
    async def read(caller: Scoped("analysis:read")) -> dict[str, Any]:
        return {"asked_by": {"kind": caller.kind}}

    @app.post(PATH)
    async def write(caller: Scoped("analysis:write")) -> None:
        raise AssertionError("the reader wrote")

    @app.get("/who")
    async def who(caller: Authenticated) -> str:
        return caller.subject

    return app, "/docs"


def mounted(auth: Auth) -> tuple[FastAPI, str]:
    app = FastAPI(lifespan=lambda _: opened(auth))
    app.mount("/below", demo_app(auth))
    return app, "/below/docs"


@asynccontextmanager
async def opened(auth: Auth) -> AsyncIterator[None]:
    async with auth:
        yield


@dataclass(frozen=True)
class SwaggerUi:
    page: Page

    def log_in(self, email: str, password: str) -> Locator:
        """Authorize by the password flow, and give what Swagger UI then says of it."""
        form = self._scheme("login (OAuth2, password)")
        form.locator("#oauth_username").fill(email)
        form.locator("#oauth_password").fill(password)
        form.get_by_role("button", name="Apply given OAuth2 credentials").click()
        return form

    def give(self, credential: str) -> Locator:
        form = self._scheme("bearer (http, Bearer)")
        form.locator("#auth-bearer-value").fill(credential)
        form.get_by_role("button", name="Apply credentials").click()
        return form

    def try_out(self, method: str) -> tuple[int, Any, Locator]:
        """Execute an operation on PATH: the status and the body that came, and where they are shown."""
        close = self.page.get_by_role("button", name="Close")
        if close.count():
            close.first.click()
        named = self.page.locator(f'[data-path="{PATH}"]')
        operation = self.page.locator(f".opblock-{method.lower()}", has=named)
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        with self.page.expect_response(lambda answer: answer.url.endswith(PATH)) as waited:
            operation.get_by_role("button", name="Execute").click()
        return waited.value.status, waited.value.json(), operation.locator(".live-responses-table .response")

    def _scheme(self, title: str) -> Locator:
        self.page.get_by_role("button", name="Authorize").first.click()
        return self.page.locator(".auth-container").filter(has_text=title)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DemoSettings:
    return demo_settings(tmp_path_factory.mktemp("swagger"))


@pytest.fixture(scope="module")
def key(settings: DemoSettings) -> str:
    """A reader's key, in a database that has that reader alone."""

    async def make() -> str:
        async with Auth(settings) as auth:
            reader = await auth.users.create(EMAIL, PASSWORD, scopes=["analysis:read"])
            return (await auth.keys.create(reader.id, name="key")).api_key.get_secret_value()

    return anyio.run(make)


@pytest.fixture(scope="module")
def browser(key: str) -> Iterator[Browser]:
    # After the key, for from here on Playwright's event loop is this thread's.
    with chromium() as found:
        yield found


@pytest.fixture
def ui(request: pytest.FixtureRequest, browser: Browser, settings: DemoSettings) -> Iterator[SwaggerUi]:
    door: Callable[[Auth], tuple[FastAPI, str]] = getattr(request, "param", guarded_demo)
    app, docs = door(Auth(settings))
    with serve(app) as url, page_of(browser, url) as page:
        page.goto(url + docs)
        yield SwaggerUi(page)


@pytest.mark.parametrize("ui", [guarded_demo, without_middleware, mounted], indirect=True)
def test_who_logs_in_may_do_what_the_users_scopes_allow_and_no_more(ui: SwaggerUi) -> None:
    expect(ui.log_in(EMAIL, PASSWORD)).to_contain_text("Authorized")
    status, answer, shown = ui.try_out("GET")
    assert (status, answer["asked_by"]["kind"]) == (200, "token")
    expect(shown).to_contain_text('"token"')
    assert_lacks_writing(ui)


def test_a_key_is_a_bearer_too(ui: SwaggerUi, key: str) -> None:
    expect(ui.give(key)).to_contain_text("Authorized")
    status, answer, _ = ui.try_out("GET")
    assert (status, answer["asked_by"]["kind"]) == (200, "api_key")
    assert_lacks_writing(ui)


def test_who_gives_nothing_and_who_gives_a_wrong_password_is_told(ui: SwaggerUi) -> None:
    status, answer, shown = ui.try_out("GET")
    assert (status, answer["error"]["code"]) == (401, "missing_token")
    expect(shown).to_contain_text("missing_token")
    expect(ui.log_in(EMAIL, "wrong")).to_contain_text("Unauthorized")


def assert_lacks_writing(ui: SwaggerUi) -> None:
    status, answer, shown = ui.try_out("POST")
    error = answer["error"]
    assert (status, error["code"]) == (403, "insufficient_permissions")
    assert error["details"] == {"required_scopes": ["analysis:write"]}
    assert set(error) == {"code", "message", "details", "request_id"}
    expect(shown).to_contain_text("insufficient_permissions")
