"""The tutorial is typed from its first line to its last, and each answer is the one that it shows.

docs/tutorial/first-app.md, tutorial/login.md, tutorial/scopes.md and tutorial/keys.md, one after the other.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from string import Template
from typing import Any

import pytest

from tests.cli.running import run, run_json
from tests.docs.pages import Block, agrees, blocks_of, shell_lines
from tests.support import curl
from tests.support.servers import serve
from tests.support.settings import CHEAP_PASSWORDS

PAGES = ("first-app", "login", "scopes", "keys")
PASSWORD = "correct horse battery"
ADDRESS = "http://127.0.0.1:8000"
# What a reader keeps of an answer, by the name that the tutorial has for it.
KEPT = {
    "KEY": "api_key",
    "READER": "api_key",
    "REPORT": "api_key",
    "NEW_REPORT": "api_key",
    "KEY_ID": "id",
    "TOKEN": "access_token",
    "REFRESH_TOKEN": "refresh_token",
}


class Reader:
    """Types what a page shows. ``compared`` counts the answers that were held against the page."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._servers = ExitStack()
        self._url = ""
        self._variables: dict[str, str] = {}
        self._answer: Any = None
        self._printed = ""
        self.compared = 0

    def close(self) -> None:
        self._servers.close()

    def read(self, block: Block) -> None:
        match block.language:
            case "sh":
                for line in shell_lines(block):
                    self._type(line)
            case "python":
                self._write(block)
            case "json":
                assert agrees(json.loads(block.text), self._answer), f"{block}: {self._answer}"
                self.compared += 1
            case "text":
                assert self._printed == block.text
                self.compared += 1
            case other:
                raise AssertionError(f"nobody types {other}")

    def _type(self, line: str) -> None:
        if line.startswith("curl "):
            self._answer = curl.Reader(self._variables).type(line.replace(ADDRESS, self._url)).json()
        elif line.startswith("callcov-auth "):
            self._command(shlex.split(Template(line).substitute(self._variables))[1:])
        elif line.endswith("uvicorn app:app"):
            name, _, value = line.split()[0].partition("=")
            self._monkeypatch.setenv(name, value)
            self._start()
        elif re.match(r"[A-Z_]+=", line):
            self._keep(*line.split("=", 1))
        else:
            assert line.startswith(("python3 -m venv ", ". .venv/", "pip install ")), line

    def _command(self, words: list[str]) -> None:
        if words == ["init"]:
            assert run(*words).exit_code == 0
            return
        known = [self._variables.get(word, word) for word in words]
        self._answer = run_json(*known, stdin=PASSWORD if "add" in words else "")

    def _keep(self, name: str, value: str) -> None:
        if not value.endswith("…"):
            self._variables[name] = value.replace(ADDRESS, self._url)
            return
        told: str = self._answer[KEPT[name]]
        assert agrees(value, told)
        self._variables[name] = told

    def _write(self, block: Block) -> None:
        if block.title == "app.py":
            Path("app.py").write_text(block.text, "utf-8")
            if self._url:
                self._start()
            return
        shown = StringIO()
        with redirect_stdout(shown):
            exec(
                compile(block.text.replace(ADDRESS, self._url), str(block), "exec"), {"__name__": "__main__"}
            )
        self._printed = shown.getvalue()

    def _start(self) -> None:
        """Start the app, or start it again at the same address."""
        self._servers.close()
        port = int(self._url.rpartition(":")[2]) if self._url else 0
        self._url = self._servers.enter_context(serve(written_app(), port=port))


def written_app() -> Any:
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(compile(Path("app.py").read_text("utf-8"), "app.py", "exec"), namespace)
    return namespace["app"]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for name, value in CHEAP_PASSWORDS.items():
        monkeypatch.setenv(f"CALLCOV_AUTH_{name.upper()}", str(value))
    made = Reader(monkeypatch)
    yield made
    made.close()


def test_the_tutorial_can_be_typed_from_its_first_line_to_its_last(reader: Reader) -> None:
    for page in PAGES:
        for block in blocks_of(f"docs/tutorial/{page}.md"):
            reader.read(block)
    assert reader.compared > 15
    assert os.stat(".env").st_mode & 0o077 == 0


def test_the_app_has_ten_lines() -> None:
    (app,) = [block for block in blocks_of("docs/tutorial/first-app.md") if block.title == "app.py"]
    assert sum(bool(line.strip()) for line in app.text.splitlines()) == 10


def test_the_first_page_of_all_shows_the_same_app() -> None:
    shown = [
        [block.text for block in blocks_of(page) if block.language == "python"]
        for page in ("docs/index.md", "docs/tutorial/first-app.md")
    ]
    assert shown[0] == shown[1]
