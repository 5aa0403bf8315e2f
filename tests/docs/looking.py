"""``python -m tests.docs.looking FOLDER`` takes a picture of each page of site/, for a person to look at."""

import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

from tests.support.chromium import chromium
from tests.support.markdown import ROOT

# A phone's width, and a desk's.
WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")


def each_way(page: Page) -> Iterator[tuple[int, str]]:
    """Show the page at each width in each scheme."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            yield width, scheme


def take_pictures(site: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page()
        for path in sorted(site.rglob("*.html")):
            page.goto(path.as_uri())
            for width, scheme in each_way(page):
                name = "-".join(path.relative_to(site).with_suffix("").parts)
                page.screenshot(path=into / f"{name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    take_pictures(ROOT / "site", Path(sys.argv[1]))
