"""Every block of code that a page shows: Python is run, and all else is read as what it is."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from callcov_auth import AuthSettings
from callcov_auth.cli.app import app as command_line
from tests.docs.pages import EVERY_BLOCK, PAGES, TRIED, Block, run_as_module, shell_lines
from tests.support.markdown import ROOT
from tests.support.reader import set_up

PYTHON = [block for block in EVERY_BLOCK if block.language == "python"]
SHELL = [block for block in EVERY_BLOCK if block.language in ("sh", "bash")]
# What README's blocks do, and not only that they run, is in tests/test_readme.py.
ALONE = [block for block in PYTHON if block.tried_by is None and block.page != "README.md"]
LANGUAGES = {"python", "sh", "bash", "json", "yaml", "ini", "text", "js", "nginx", "sql", "dockerfile"}

COMMAND = re.compile(
    r"(?:^|[;|&] *|\$\()(?:[A-Z_]+=\S+ )*(callcov-auth (?:[^;|&<>)\"'`]|\"[^\"]*\"|'[^']*')*)"
)
# What follows a command in a shell, and is none of its own.
COMMANDS = sorted(
    {found[1].strip() for block in SHELL for line in shell_lines(block) for found in COMMAND.finditer(line)}
)
MENTIONED = sorted(
    {
        " ".join(found.split())
        for text in PAGES.values()
        for found in re.findall(r"(?<!`)`(callcov-auth [^`]+)`", text)
    }
)


def test_a_block_says_what_language_it_is() -> None:
    assert {block.language for block in EVERY_BLOCK} <= LANGUAGES
    fences = sum(len(re.findall(r"^ *```", text, re.M)) for text in PAGES.values())
    assert fences == 2 * len(EVERY_BLOCK)


@pytest.mark.parametrize("block", ALONE, ids=str)
def test_a_python_block_runs(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    assert len(run_as_module(block)) > 2


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if TRIED.search(text)])
def test_the_test_that_a_page_names_is_there_and_reads_it(page: str) -> None:
    for named in {mark["test"] for mark in TRIED.finditer(PAGES[page])}:
        assert page.removeprefix("docs/") in (ROOT / named).read_text("utf-8")


@pytest.mark.parametrize("block", [block for block in EVERY_BLOCK if block.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


@pytest.mark.parametrize("block", [block for block in EVERY_BLOCK if block.language == "yaml"], ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_setting_that_is_named_is_one(page: str) -> None:
    named = {
        name.lower()
        for name in re.findall(r"(?<![A-Z_])CALLCOV_AUTH_([A-Z_]*[A-Z])(?![A-Z_*…])", PAGES[page])
    }
    assert named <= set(AuthSettings.model_fields)


def test_there_are_commands_to_type() -> None:
    assert len(COMMANDS) > 40
    assert "callcov-auth keys scan . --git" in COMMANDS
    assert "callcov-auth db import everything.jsonl" in COMMANDS


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_typed_as_shown(line: str) -> None:
    command, words = named(line)
    for word in words:
        if word.endswith((".jsonl", ".csv")):
            # It is asked for when the line is read.
            Path(word).touch()
    if hasattr(command, "commands") or words[-1:] == ["--help"]:
        # Of a group, which is not run: its own options.
        assert set(words) <= options_of(command)
    else:
        assert command.make_context(command.name, words).params is not None


@pytest.mark.parametrize("line", MENTIONED)
def test_a_command_that_is_spoken_of_is_there(line: str) -> None:
    command, words = named(line.replace("…", ""))
    assert {word for word in words if word.startswith("--")} <= options_of(command)
    if hasattr(command, "commands"):
        assert not [word for word in words if not word.startswith("--") and word != "COMMAND"]


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def named(line: str) -> tuple[Any, list[str]]:
    """Return the command that a line names, and the words after it."""
    command: Any = typer.main.get_command(command_line)
    words = shlex.split(line)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command, words


def test_the_extras_to_install_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    lines = [line for block in SHELL for line in shell_lines(block)]
    asked = [line for line in lines if line.startswith("pip install")]
    asked += [found for text in PAGES.values() for found in re.findall(r"`(pip install [^`]*)`", text)]
    names = [re.fullmatch(r"pip install (?:\.|'(?:\.|callcov-auth)\[([a-z,]+)\]')", line) for line in asked]
    assert len(names) > 5
    assert all(names)
    assert {extra for found in names if found and found[1] for extra in found[1].split(",")} <= extras.keys()
