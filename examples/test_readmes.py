"""What the READMEs of the examples name is there, and the documentation lists every example."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from callcov_auth.cli.app import app as command_line
from examples.conftest import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/__main__.py"))
READMES = {example.name: (example / "README.md").read_text("utf-8") for example in EXAMPLES}
PAGE = (ROOT / "docs" / "examples.md").read_text("utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]

named = pytest.mark.parametrize("name", READMES)


def shell(text: str) -> list[str]:
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))
    return blocks.replace("\\\n", "").splitlines()


def test_there_are_six() -> None:
    assert len(READMES) == 6


@named
def test_each_is_installed_and_started_as_its_readme_says(name: str) -> None:
    install, start, *_ = shell(READMES[name])
    extras = re.match(r"pip install '\.\[([a-z,]+)\]'", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= EXTRAS.keys()
    assert start == f"python -m examples.{name}"


@named
def test_each_has_tests_of_its_own(name: str) -> None:
    assert (ROOT / "examples" / name / f"test_{name}.py").is_file()


@named
def test_a_command_can_be_typed_as_shown(name: str) -> None:
    lines = [re.sub(r"^([A-Z_]+=\S+ )*", "", line) for line in shell(READMES[name])]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("callcov-auth ")]
    assert commands
    for words in commands:
        command: Any = typer.main.get_command(command_line)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command.make_context(command.name, words).params is not None


@named
def test_what_a_readme_links_and_starts_is_there(name: str) -> None:
    folder = ROOT / "examples" / name
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", READMES[name])
    modules = re.findall(r"(?:python -m|uvicorn) (examples\.[\w.]+)", READMES[name])
    assert linked
    assert [link for link in linked if not (folder / link).resolve().is_file()] == []
    files = [ROOT / module.replace(".", "/") for module in modules]
    assert [file for file in files if not (file.with_suffix(".py").is_file() or file.is_dir())] == []


@named
def test_the_documentation_lists_it(name: str) -> None:
    assert f"python -m examples.{name}" in PAGE
    assert f"(../examples/{name}/README.md)" in PAGE


def test_what_the_page_links_is_there() -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", PAGE)
    assert [link for link in linked if not (ROOT / "docs" / link).resolve().is_file()] == []


def test_the_readme_leads_here() -> None:
    assert "(docs/examples.md)" in Path(ROOT / "README.md").read_text("utf-8")
