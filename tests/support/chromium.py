"""Chromium without a window, for pages to be used as a person uses them.

As a program, it says which one there is, and ends with 1 where there is none.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fastapi_offline
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# In milliseconds: a bound on each wait, for a machine that is busy.
PATIENCE = 30_000.0

_ASSETS = Path(fastapi_offline.__file__).parent / "static"


def installed() -> Path | None:
    """Return the machine's own, or the one that Playwright got; None where there is neither."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return Path(found)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.exists() else None


@contextmanager
def chromium() -> Iterator[Browser]:
    found = installed()
    assert found is not None, "there is no Chromium: scripts/test gets one"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Browser, site: str) -> Iterator[Page]:
    """A page without a past, which reaches ``site`` alone: what a CDN has, comes from a package."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    context.route(lambda url: not url.startswith(site), _answer)
    yield context.new_page()
    context.close()


def _answer(route: Route) -> None:
    asset = _ASSETS / Path(route.request.url).name
    if asset.exists():
        route.fulfill(path=asset)
    else:
        route.abort()


if __name__ == "__main__":
    print(installed())
    sys.exit(installed() is None)
