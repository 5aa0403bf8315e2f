"""docs/command-line.md names every command and every exit code, and what it shows can be typed."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from callcov_auth.cli import errors
from callcov_auth.cli.app import app
from tests.cli.test_exits import LEAVES
from tests.support.markdown import sections

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command-line.md").read_text("utf-8")
ROWS = re.findall(r"^\| `callcov-auth ([^`]+)` \| (.+) \|$", PAGE, re.M)
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)).splitlines()
TYPED = [
    re.split(r" [|<>] ", line)[0].removeprefix("callcov-auth ")
    for line in SHELL
    if line.startswith("callcov-auth ")
]


def parsed(line: str) -> tuple[str, ...]:
    """Parse a line as typer does, and return the words that name its command."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)
    named = []
    while words and words[0] in getattr(command, "commands", {}):
        named.append(words.pop(0))
        command = command.commands[named[-1]]
    if not set(words) & {"--help", "--install-completion"}:
        assert command.make_context(command.name, words).params is not None
    return tuple(named)


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    """The files that the page names."""
    for name in ("keys.csv", "users.csv", "everything.jsonl"):
        (folder / name).touch()


def test_every_command_has_its_line() -> None:
    assert sorted(parsed(line) for line, _ in ROWS) == sorted(LEAVES)


@pytest.mark.parametrize("line", TYPED)
def test_what_is_shown_can_be_typed(line: str) -> None:
    assert parsed(line) in LEAVES or line in {"--help", "--install-completion"}


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = PAGE.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    shown = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)]
    assert shown == [errors.DONE, errors.REFUSED, errors.UNUSABLE, errors.INTERRUPTED]


def test_what_the_page_links_is_there() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(linked) >= 5
    for link in linked:
        name, _, section = link.partition("#")
        assert not section or section in sections(DOCS / name)
        assert (DOCS / name).is_file()
