"""The pages that a reader sees, and the blocks in them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.markdown import ROOT

DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8") for path in (ROOT / "README.md", *DOCS.rglob("*.md"))
}

# A comment that says which test runs the blocks after it: those to the end of the page, or, where the next
# line begins a block, that one alone.
TRIED = re.compile(r"^<!-- tried by (?P<test>\S+) -->\n(?P<one>```)?", re.M)
_PART = re.compile(
    r"^#+ (?P<heading>[^\n]+)$"
    r'|^(?P<fence>```+)(?P<language>\w*)(?: title="(?P<title>[^"\n]*)")?\n(?P<text>.*?)^(?P=fence)$',
    re.M | re.S,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. ``tried_by`` is the test that the page names for it."""

    page: str
    number: int
    heading: str
    language: str
    title: str | None
    text: str
    tried_by: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.number}:{self.heading}"


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page, in their order."""
    return list(_blocks(page, PAGES[page]))


def _blocks(page: str, text: str) -> Iterator[Block]:
    heading, number = "", 0
    marks = list(TRIED.finditer(text))
    for part in _PART.finditer(text):
        heading = part["heading"] or heading
        if part["fence"] is None:
            continue
        before = [mark for mark in marks if mark.start() < part.start()]
        tried_by = next((mark["test"] for mark in reversed(before) if _reaches(mark, part.start())), None)
        yield Block(page, number, heading, part["language"], part["title"], part["text"], tried_by)
        number += 1


def _reaches(mark: re.Match[str], start: int) -> bool:
    return mark["one"] is None or mark.start("one") == start


def prose_of(page: str) -> str:
    """Return a page without its blocks."""
    return _PART.sub(lambda part: "" if part["fence"] else part[0], PAGES[page])


EVERY_BLOCK = [block for page in sorted(PAGES) for block in blocks_of(page)]


def block(page: str, title: str) -> str:
    """Return the one block of ``docs/PAGE`` with this title."""
    (found,) = [one for one in blocks_of(f"docs/{page}") if one.title == title]
    return found.text


def under(page: str, heading: str, language: str) -> str:
    """Return the first block of this language under a heading of ``docs/PAGE``."""
    return next(
        one.text for one in blocks_of(f"docs/{page}") if (one.heading, one.language) == (heading, language)
    )


def shell_lines(block: Block) -> list[str]:
    """Return the lines of a shell block; one that goes on is one."""
    return [line for line in block.text.replace("\\\n", "").splitlines() if line.strip()]


def assignments(text: str) -> dict[str, str]:
    """Return what a ``.env`` sets."""
    pairs = [line.partition("=") for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return {name: value.strip("'") for name, _, value in pairs}


def tables_of(page: str) -> list[list[list[str]]]:
    """Return the tables of ``docs/PAGE``: rows of cells, without the row of names; backticks are left in."""
    found = re.findall(r"(?:^\|[^\n]*\n)+", PAGES[f"docs/{page}"], re.M)
    return [[_cells(row) for row in table.splitlines()[2:]] for table in found]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def agrees(shown: Any, real: Any) -> bool:
    """Whether ``real`` is what is shown; a text that is shown up to a ``…`` may go on as it likes."""
    if isinstance(shown, dict):
        return (
            isinstance(real, dict)
            and shown.keys() == real.keys()
            and all(agrees(shown[k], real[k]) for k in shown)
        )
    if isinstance(shown, str) and "…" in shown:
        return isinstance(real, str) and real.startswith(shown.partition("…")[0])
    return bool(shown == real)


def loaded(shown: str) -> Any:
    return json.loads(shown)


def run_as_module(block: Block, name: str = "app") -> dict[str, Any]:
    """Run a block as a module of its own, and return what it defines."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(block.text, str(block), "exec"), namespace)
    return namespace


def path_of(page: str) -> Path:
    return ROOT / page
