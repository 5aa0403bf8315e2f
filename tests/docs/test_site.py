"""The site that scripts/docs builds: whole, without a warning, and by itself."""

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import griffe
import pytest
import yaml

from callcov_auth import AuthSettings
from callcov_auth.errors import REFUSALS
from tests.docs.conftest import Site
from tests.docs.pages import DOCS, PAGES, path_of, prose_of
from tests.support.markdown import ROOT
from tests.support.public_api import SNAPSHOT

PICTURES = sorted((DOCS / "pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
# What a browser fetches by itself, by the attribute that names it.
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}


class Page(HTMLParser):
    """What a built page refers to, what in it can be referred to, and what a browser loads for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors |= {given[name] or "" for name in ("id", "name") if name in given}
        address = given.get(LOADED.get(tag, ""))
        if address:
            self.loaded.add(address)
        if tag == "a" and given.get("href"):
            self.links.add(given["href"] or "")


@pytest.fixture(scope="module")
def pages(site: Site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.pages}


def test_it_is_built_without_a_warning(site: Site) -> None:
    assert not re.search(r"^(WARNING|ERROR)|Warning", site.said, re.M), site.said


def test_it_has_every_page(site: Site) -> None:
    written = {Path(name).relative_to("docs").with_suffix(".html") for name in PAGES if name != "README.md"}
    assert written == {path.relative_to(site.folder) for path in site.pages}


def test_it_goes_where_git_does_not_look() -> None:
    folder = next(
        line for line in (ROOT / "mkdocs.yml").read_text("utf-8").splitlines() if "site_dir" in line
    )
    assert f"{folder.split()[1]}/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_nothing_in_it_is_loaded_from_elsewhere(site: Site, pages: dict[Path, Page]) -> None:
    loaded = {address for page in pages.values() for address in page.loaded}
    assert len(loaded) > 10
    assert [address for address in loaded if urlsplit(address).netloc] == []
    styles = "".join(path.read_text("utf-8") for path in site.folder.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"']*", styles) == []


def test_each_link_and_each_file_is_there(site: Site, pages: dict[Path, Page]) -> None:
    broken = []
    for page in pages.values():
        for address in page.links | page.loaded:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            anchors = pages[target].anchors if target in pages else None
            is_there = target.is_file() and (
                not parts.fragment or anchors is None or parts.fragment in anchors
            )
            if not is_there:
                broken.append(f"{page.path.relative_to(site.folder)}: {address}")
    assert broken == []


def test_what_a_page_links_outside_of_them_is_there() -> None:
    """The site has the text of such a link alone, so that nobody else looks."""
    for page in PAGES:
        linked = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", prose_of(page))
        assert [name for name in linked if not (path_of(page).parent / name).exists()] == [], page


def test_links_of_the_readme_into_the_pages_hold(pages: dict[Path, Page], site: Site) -> None:
    linked = re.findall(r"\]\((docs/[^)#]+)(?:#([^)]+))?\)", PAGES["README.md"])
    assert len(linked) > 5
    for page, anchor in linked:
        built = site.folder / Path(page).relative_to("docs").with_suffix(".html")
        assert built in pages, page
        assert not anchor or anchor in pages[built].anchors


def inventory(site: Site) -> set[str]:
    """The names that the reference has a place for, as other sites are told of them."""
    raw = (site.folder / "objects.inv").read_bytes()
    listed = zlib.decompress(raw.split(b"\n", 4)[4]).decode()
    return {line.split(" ", 1)[0] for line in listed.splitlines()}


def public_names() -> list[str]:
    found = re.findall(r"^(?:async def |def |class )?(callcov_auth[\w.]*)", SNAPSHOT.read_text("utf-8"), re.M)
    return [name for name in found if not name.endswith(("__init__", ".__version__", ".model_config"))]


def test_the_reference_has_every_public_name(site: Site) -> None:
    package = griffe.load("callcov_auth", search_paths=[ROOT / "src"])
    settings = {f"callcov_auth.AuthSettings.{name}" for name in AuthSettings.model_fields}
    known = inventory(site) | settings
    names = public_names()
    assert len(names) > 200
    lacking = [name for name in names if not {name, _home(package, name)} & known]
    assert lacking == [], "it has no docstring, or stands on no page of docs/reference/"


def _home(package: griffe.Object, name: str) -> str:
    """Where a name is defined that others may import from elsewhere."""
    found = package[name.removeprefix("callcov_auth.")]
    return found.final_target.path if isinstance(found, griffe.Alias) else found.path


def test_the_reference_tells_each_refusals_code_and_status(site: Site) -> None:
    text = re.sub(r"<[^>]+>", "", (site.folder / "reference/errors.html").read_text("utf-8"))
    for refusal in REFUSALS:
        assert f"{refusal.code}, status {refusal.status}. {refusal.description}." in text


def test_the_navigation_names_each_page_once() -> None:
    # mkdocs itself warns of one that is lacking.
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r": ([\w/-]+\.md)$", text, re.M)
    assert len(listed) == len(set(listed))
    assert list(
        yaml.safe_load(text.partition("\nnav:")[2] and "nav:" + text.partition("\nnav:")[2])["nav"][1]
    ) == ["Tutorial"]


@pytest.mark.parametrize("picture", PICTURES, ids=[path.stem for path in PICTURES])
def test_a_picture_says_what_it_shows_and_is_used(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    title, described = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert title
    assert described
    assert len(described) > 100
    assert "prefers-color-scheme: dark" in picture.read_text("utf-8")
    assert any(f"![{title}]" in text and picture.name in text for text in PAGES.values())
