"""The site in a browser, opened from its files: at a phone's width and a desk's, in light and in dark."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.docs.conftest import Site
from tests.docs.looking import WIDTHS
from tests.support.chromium import PATIENCE, chromium


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    # After the site, for from here on Playwright's event loop is this thread's.
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that notes what it asks of others, and what goes wrong in it."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    troubles: list[str] = []
    made = context.new_page()
    made.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or troubles.append(asked.url))
    made.on("requestfailed", lambda asked: troubles.append(f"not loaded: {asked.url}"))
    made.on("pageerror", lambda error: troubles.append(str(error)))
    made.on("console", lambda said: said.type in ("error", "warning") and troubles.append(said.text))
    yield made
    context.close()
    assert troubles == []


# What a reader would have to push sideways, in each scheme: the page itself, or text out of its place.
OVERFLOW = """() => ["default", "slate"].flatMap(scheme => {
  document.body.setAttribute("data-md-color-scheme", scheme)
  const edge = window.innerWidth
  const page = document.scrollingElement.scrollWidth
  return [...document.querySelectorAll(".md-content :is(h1, h2, h3, h4, p, li, td, th, img)")]
    .filter(found => found.getBoundingClientRect().right > edge + 1)
    .filter(found => !found.closest(".md-typeset__scrollwrap, pre"))
    .map(found => `${scheme}: ${found.textContent.trim().slice(0, 60)}`)
    .concat(page > edge ? [`${scheme}: the page is ${page} wide`] : [])
})"""


def test_no_page_is_wider_than_the_window(site: Site, page: Page) -> None:
    assert len(site.pages) > 30
    for path in site.pages:
        page.goto(path.as_uri())
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(OVERFLOW) == [], f"{path.relative_to(site.folder)} at {width} px"


def test_the_scheme_is_the_systems(site: Site, page: Page) -> None:
    page.goto((site.folder / "index.html").as_uri())
    for system, scheme in (("dark", "slate"), ("light", "default")):
        page.emulate_media(color_scheme=system)
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", scheme)


@pytest.mark.parametrize("start", ["index.html", "tutorial/first-app.html"])
@pytest.mark.parametrize(
    ("asked", "found"), [("cache_ttl", "settings.html"), ("Keycloak", "other-issuers.html")]
)
def test_the_search_works_from_files(site: Site, page: Page, start: str, asked: str, found: str) -> None:
    page.set_viewport_size({"width": max(WIDTHS), "height": 900})
    page.goto((site.folder / start).as_uri())
    page.locator(".md-search__input").press_sequentially(asked)
    first = page.locator(f".md-search-result__link[href*='{found}']").first
    expect(first).to_be_visible()
    first.click()
    expect(page).to_have_url(re.compile(re.escape((site.folder / found).as_uri())))


@pytest.mark.parametrize(("system", "chosen"), [("light", "slate"), ("dark", "default")])
def test_pictures_follow_the_scheme_that_was_chosen(site: Site, page: Page, system: str, chosen: str) -> None:
    page.emulate_media(color_scheme=system)
    page.goto((site.folder / "design.html").as_uri())
    picture = page.locator("img[src$='request-path.svg']")
    as_the_system_is = picture.screenshot()
    page.locator("body").evaluate(
        "(body, chosen) => body.setAttribute('data-md-color-scheme', chosen)", chosen
    )
    assert picture.screenshot() != as_the_system_is
