"""The how-tos of moving in, typed as a reader would: their files written, their lines run."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from typer.testing import Result

from tests.cli.running import run
from tests.moving.theirs import exported
from tests.support.markdown import ROOT
from tests.support.servers import serve

START_TIMEOUT = 60.0

_BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
_SQLITE = re.compile(r'sqlite3 -header -csv (?P<file>\S+) "(?P<query>[^"]+)" > (?P<csv>\S+)')
_PSQL = re.compile(r"psql \"\$DATABASE\" -c '\\copy \((?P<query>.+)\) TO (?P<csv>\S+) CSV HEADER'")


class HowTo:
    """One page. ``write`` puts its file here, ``lines`` are those of its shell blocks."""

    def __init__(self, page: str) -> None:
        self.text = (ROOT / "docs" / page).read_text("utf-8")
        blocks = [*_BLOCK.finditer(self.text)]
        assert len(blocks) == self.text.count("\n```") / 2
        self.files = {block["title"]: block["text"] for block in blocks if block["title"]}
        shell = "".join(block["text"] for block in blocks if block["language"] == "sh")
        self.lines = shell.splitlines()

    def write(self, title: str) -> Path:
        path = Path(title)
        path.write_text(self.files[title], "utf-8")
        return path

    def commands(self, start: str = "callcov-auth ") -> list[str]:
        return [line for line in self.lines if line.startswith(start)]

    def export(self) -> None:
        """Do what the lines with ``sqlite3`` do, without it."""
        found = [match for line in self.lines if (match := _SQLITE.fullmatch(line))]
        assert len(found) == len(self.commands("sqlite3 ")) > 0
        for match in found:
            exported(Path(match["file"]), match["query"], match["csv"])

    def queries(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return what is exported to which file, from SQLite and from PostgreSQL."""
        sqlite, postgres = (
            [(match["query"], match["csv"]) for line in self.lines if (match := pattern.fullmatch(line))]
            for pattern in (_SQLITE, _PSQL)
        )
        assert (len(sqlite), len(postgres)) == (len(self.commands("sqlite3 ")), len(self.commands("psql ")))
        return sqlite, postgres


def type_line(line: str, *, stdin: str = "") -> Result:
    """Run a line that begins with ``callcov-auth``, and see that it does what it is there for."""
    done = run(*shlex.split(line)[1:], stdin=stdin)
    assert done.exit_code == 0, done.output
    return done


def install(monkeypatch: pytest.MonkeyPatch, settings: str = "") -> None:
    """Make an installation as the pages say: ``init``, and lines of the page's in ``.env`` beside."""
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")
    assert run("init").exit_code == 0
    with Path(".env").open("a", encoding="utf-8") as file:
        file.write(settings)


@contextmanager
def after(how_to: HowTo) -> Iterator[httpx2.Client]:
    """Serve ``after.py``, and give a client of it."""
    namespace: dict[str, object] = {"__name__": "after"}
    exec(compile(how_to.files["after.py"], "after.py", "exec"), namespace)
    with serve(namespace["app"]) as url, httpx2.Client(base_url=url) as client:
        yield client


@contextmanager
def before(
    how_to: HowTo, *, python: str = sys.executable, env: Mapping[str, str] | None = None
) -> Iterator[httpx2.Client]:
    """Serve ``before.py`` in a process of another Python's, and give a client of it."""
    how_to.write("before.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "uvicorn", "before:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, env={**os.environ, **(env or {})})
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            _wait_for(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _wait_for(client: httpx2.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        assert process.poll() is None, "the app before ended"
        assert time.monotonic() < deadline
        try:
            client.get("/")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
