"""What takes its time shows how far it is: to people alone, and beside what the command prints."""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from callcov_auth.cli import progress
from tests.cli.running import EMAIL, add_user, run, run_json
from tests.cli.terminal import Terminal, at_terminal
from tests.support.polling import eventually_in_thread

# The program, where each look into the database takes long, and patience is short.
SLOW = """
import sys, time
import rich.progress
from callcov_auth.cli import audit, main, progress
from callcov_auth.store.lanes import Lanes
progress.PATIENCE, progress.SHOWN_EVERY = 0.05, 0.01
audit.PAGE = 1
def slowed(call):
    async def slow(self, *arguments, **named):
        time.sleep(0.3)
        return await call(self, *arguments, **named)
    return slow
for name in ("read", "look_up", "write", "snapshot"):
    setattr(Lanes, name, slowed(getattr(Lanes, name)))
sys.argv = ["callcov-auth", *sys.argv[1:]]
main()
"""


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Calling it returns all that was written to standard error."""
    heard: list[str] = []

    def all_of_it() -> str:
        heard.append(capsys.readouterr().err)
        return "".join(heard)

    return all_of_it


def look_on(monkeypatch: pytest.MonkeyPatch, *, patience: float = 0.0) -> None:
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setattr(progress, "SHOWN_EVERY", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_how_much_is_done_is_shown_of_how_much(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    look_on(monkeypatch)
    with progress.progress("Exporting [all]") as tell:
        tell(1, 4)
        tell(2, 4)
        eventually_in_thread(lambda: "3/4" in said())
    assert "Exporting [all]" in said()


def test_what_cannot_be_counted_is_seen_to_go_on(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    look_on(monkeypatch)
    with progress.spinner("Looking") as say:
        eventually_in_thread(lambda: "Looking" in said())
        say("42 files, 3 keys")
        eventually_in_thread(lambda: "42 files, 3 keys" in said())


def test_it_ends_with_the_work_whatever_becomes_of_that(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    look_on(monkeypatch)
    # Other tests' threads may end meanwhile.
    before = set(threading.enumerate())

    def fail() -> None:
        with progress.progress("Exporting") as tell:
            tell(1, 2)
            eventually_in_thread(lambda: "1/2" in said())
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    # A thread of rich's is told to end, and not waited for.
    eventually_in_thread(lambda: set(threading.enumerate()) <= before)
    assert said().endswith("\x1b[2K"), "the line is empty again"


def test_what_is_printed_meanwhile_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    look_on(monkeypatch)
    with progress.spinner("Looking"):
        eventually_in_thread(lambda: "Looking" in capsys.readouterr().err)
        print("data")
    assert capsys.readouterr().out == "data\n"


def test_what_is_quick_is_not_shown(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    look_on(monkeypatch, patience=5.0)
    begun = time.monotonic()
    with progress.progress("Exporting") as tell:
        tell(1, 2)
    assert said() == ""
    assert time.monotonic() - begun < progress.PATIENCE


def test_nobody_is_shown_anything_who_does_not_look(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.progress("Exporting") as tell, progress.spinner("Looking") as say:
        tell(1, 2)
        say("Still looking")
        time.sleep(0.1)
    assert said() == ""


# The commands that may take long


def slowly(*arguments: str) -> Terminal:
    """Run a command at a terminal, with its standard output in the file ``out``."""
    Path("slow.py").write_text(SLOW)
    command = f'{sys.executable} slow.py "$@" > out'
    with at_terminal(["sh", "-c", command, "sh", *arguments]) as screen:
        assert screen.ended() in {0, 1}, screen.text
    return screen


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("users", "list"), "Opening the database"),
        (("keys", "list"), "Reading keys"),
        (("keys", "stale"), "Reading keys"),
        (("keys", "import", "keys.csv"), "Importing"),
        (("keys", "scan", "keys.csv"), "Asking whose they are"),
        (("doctor",), "Looking at the database"),
        (("audit", "export"), "Exporting"),
        (("db", "upgrade"), "Upgrading the database"),
        (("db", "import", "all.jsonl"), "Importing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_command_that_takes_long_shows_it(
    arguments: tuple[str, ...], shown: str, installation: Path
) -> None:
    add_user()
    key = run_json("keys", "create", EMAIL, "--name", "ci")["api_key"]
    Path("keys.csv").write_text(f"owner,name,digest,kind\n{EMAIL},{key},{'0' * 64},sha256\n")
    run("db", "export", "all.jsonl")
    screen = slowly(*arguments)
    assert shown in screen.raw
    assert shown not in screen.text, "it goes away"


def test_what_is_printed_meanwhile_goes_where_it_was_sent(installation: Path) -> None:
    add_user()
    run_json("keys", "create", EMAIL, "--name", "ci")
    screen = slowly("audit", "export")
    lines = Path("out").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["user_changed", "key_created"]
    assert "user_changed" not in screen.text
