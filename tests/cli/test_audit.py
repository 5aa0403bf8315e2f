"""``audit``: what the commands did and what keys did, as a table, as it comes, and as JSON lines."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer.main

from callcov_auth import Auth
from callcov_auth.audit import AUDITED
from callcov_auth.cli import audit
from callcov_auth.cli.app import app
from callcov_auth.events import UserChanged
from tests.cli.running import EMAIL, PASSWORD, TIMEOUT, add_user, run, run_json, run_process, with_auth
from tests.support.clock import Clock
from tests.support.polling import eventually_in_thread

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")

pytestmark = pytest.mark.usefixtures("installation")


@pytest.fixture(autouse=True)
def kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what happened at a moment of a test's choice is not too old."""
    monkeypatch.setenv("CALLCOV_AUTH_AUDIT_DAYS", "3650")


def entries(*options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_json("audit", "list", *options)["entries"]
    return found


def events(*options: str) -> list[str]:
    return [entry["event"] for entry in entries(*options)]


def a_key() -> str:
    add_user()
    return str(run_json("keys", "create", EMAIL, "--name", "ci")["id"])


def changed(subject: str, *, at: float) -> None:
    """Note a change of ``subject`` at a moment of the test's choice."""

    async def tell(auth: Auth) -> None:
        auth.on_event(UserChanged(subject, "created"))

    with_auth(tell, clock=Clock(at))


def test_what_a_command_does_is_written_before_it_ends() -> None:
    key_id = a_key()
    new_id = run_json("keys", "rotate", key_id)["id"]
    assert run_process("keys", "revoke", key_id).returncode == 0
    run_json("users", "disable", EMAIL)
    run_json("signing-keys", "add")
    *told, last = entries()
    assert [(entry["event"], entry["actor"], entry["key_id"], entry["detail"]) for entry in told] == [
        ("user_changed", "cli", None, {"change": "created"}),
        ("key_created", "cli", key_id, {}),
        ("key_rotated", "cli", key_id, {"new_key_id": new_id}),
        ("key_revoked", "cli", key_id, {}),
        ("user_changed", "cli", None, {"change": "disabled"}),
    ]
    assert (last["event"], last["actor"], last["detail"]["alg"]) == ("signing_key_added", "cli", "ES256")
    assert last["at"].endswith("Z")


def test_one_keys_and_one_users_can_be_asked_for() -> None:
    key_id = a_key()
    other = add_user("grace@example.com")
    assert events("--key", key_id) == ["key_created"]
    assert events("--user", "Grace@example.com") == events("--user", other) == ["user_changed"]
    assert events("--user", EMAIL) == ["user_changed", "key_created"]
    assert events("--key", "key_0") == []


def test_the_newest_are_shown_and_that_there_may_be_more() -> None:
    key_id = a_key()
    run_json("keys", "revoke", key_id)
    assert events("--limit", "2") == ["key_created", "key_revoked"]
    assert "audit export" in run("audit", "list", "--limit", "2").stderr
    assert run("audit", "list", "--limit", "4").stderr == ""


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("30m", ["usr_2"]),
        ("2h", ["usr_1", "usr_2"]),
        ("1d", ["usr_1", "usr_2"]),
        ("2026-01-31T12:00", ["usr_1", "usr_2"]),
        ("2026-01-31T14:00:00+01:00", ["usr_2"]),
        ("2026-01-31T13:00:00Z", ["usr_2"]),
        ("2026-01-31", ["usr_0", "usr_1", "usr_2"]),
    ],
)
def test_since(since: str, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    noon = 1769860800.0
    for number, at in enumerate((noon - 2 * 3600, noon, noon + 3600)):
        changed(f"usr_{number}", at=at)
    # A little after the last.
    monkeypatch.setattr(audit.time, "time", lambda: noon + 3700)
    if since == "1d":
        shown = ["usr_0", *shown]
    assert [entry["subject"] for entry in entries("--since", since)] == shown


@pytest.mark.parametrize("since", ["yesterday", "1", "1y", "-1h", "1234567s", ""])
def test_what_is_no_time_is_refused(since: str) -> None:
    refused = run("audit", "list", f"--since={since}")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: --since is no time: write 30m, 12h, 7d")


def test_a_key_in_an_ids_place_is_refused_and_not_shown() -> None:
    add_user()
    key = run_json("keys", "create", EMAIL, "--name", "ci")["api_key"]
    refused = run("audit", "list", "--key", key)
    assert refused.exit_code == 2
    assert "'callcov-auth keys who'" in refused.stderr
    assert key not in refused.output


def test_an_unknown_email_is_refused_with_the_next_step() -> None:
    add_user()
    refused = run("audit", "list", "--user", "nobody@example.com")
    assert (refused.exit_code, "'callcov-auth users list'" in refused.stderr) == (1, True)


def test_people_read_a_table() -> None:
    key_id = a_key()
    names, _, created = run("audit", "list").stdout.splitlines()
    assert names.split() == list(audit.COLUMNS)
    assert created.split()[1:3] == ["key_created", "cli"]
    assert key_id in created


def test_a_list_is_in_the_order_of_time_whoever_wrote_later() -> None:
    changed("usr_2", at=1_800_000_002)
    changed("usr_1", at=1_800_000_001)
    assert [entry["subject"] for entry in entries("--since", "2020-01-01")][-2:] == ["usr_1", "usr_2"]


def test_a_key_that_there_is_not_is_told_of() -> None:
    shown = run("audit", "list", "--key", "key_mistyped", "--json")
    assert (json.loads(shown.stdout), shown.exit_code) == ({"entries": []}, 0)
    assert "There is no such key: 'callcov-auth keys list --all' shows them all.\n" in shown.stderr
    assert "no such key" not in run("audit", "list", "--key", a_key()).stderr


def test_what_a_stranger_wrote_does_not_steer_the_terminal() -> None:
    changed("usr_\x1b[2J", at=1769860800.0)
    for command in (("audit", "list"), ("audit", "tail")):
        shown = run(*command).stdout
        assert "\x1b" not in shown
        assert "usr_\\x1b[2J" in shown


def test_tail_prints_the_last_ones_a_line_each() -> None:
    key_id = a_key()
    run_json("keys", "revoke", key_id)
    lines = run("audit", "tail", "--limit", "2").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["key_created", "key_revoked"]
    documents = [json.loads(line) for line in run("audit", "tail", "--json").stdout.splitlines()]
    assert documents == entries()


@contextmanager
def following(output: Path, *options: str) -> Iterator[Callable[[], list[str]]]:
    """Run ``audit tail --follow`` and give what it has printed so far; in the end Ctrl-C ends it."""
    command = [sys.executable, "-m", "callcov_auth", "audit", "tail", "--follow", "--json", *options]
    # A shell lets what it runs in the background ignore Ctrl-C, and so does whatever is started from there.
    as_in_a_terminal = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.PIPE,
            env=os.environ.copy(),
            preexec_fn=as_in_a_terminal,
        ) as process,
    ):
        try:
            yield lambda: [json.loads(line)["event"] for line in output.read_text().splitlines()]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=TIMEOUT)
            assert b"Traceback" not in said
        finally:
            process.kill()


def test_following_goes_on_with_what_comes(tmp_path: Path) -> None:
    key_id = a_key()
    with following(tmp_path / "all") as printed, following(tmp_path / "one", "--key", key_id) as of_key:
        eventually_in_thread(lambda: printed() == ["user_changed", "key_created"] and len(of_key()) == 1)
        run_json("users", "logout", EMAIL)
        run_json("keys", "revoke", key_id)
        eventually_in_thread(lambda: len(printed()) == 4 and len(of_key()) == 2)
        assert printed()[2:] == ["logged_out_everywhere", "key_revoked"]
        assert of_key() == ["key_created", "key_revoked"]


def test_following_an_empty_log_begins_with_the_first(tmp_path: Path) -> None:
    entries()
    with following(tmp_path / "all") as printed:
        assert printed() == []
        add_user()
        eventually_in_thread(lambda: printed() == ["user_changed"])


def test_an_export_is_json_lines_of_everything_over_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    key_id = a_key()
    run_json("keys", "revoke", key_id)
    monkeypatch.setattr(audit, "PAGE", 2)
    exported = run("audit", "export")
    assert exported.exit_code == 0
    assert [json.loads(line) for line in exported.stdout.splitlines()] == entries()
    assert len(entries()) == 3
    one = run("audit", "export", "--key", key_id, "--since", "1h").stdout.splitlines()
    assert [json.loads(line)["event"] for line in one] == ["key_created", "key_revoked"]


def test_lines_on_a_terminal_are_progress_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(audit, "progress", None)
    with audit._progress() as tell:
        assert tell(2, None) is None


def test_a_resource_server_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLCOV_AUTH_SECRET")
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    issuer = {"issuer": "https://login.example.com", "audience": "calls", "discovery": True}
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([issuer]))
    refused = run("audit", "list")
    assert refused.exit_code == 2
    assert "CALLCOV_AUTH_SECRET" in refused.stderr


def test_where_it_is_off_what_is_there_can_still_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    add_user()
    monkeypatch.setenv("CALLCOV_AUTH_AUDIT_DAYS", "0")
    add_user("grace@example.com")
    assert events() == ["user_changed"]


def test_another_database_begins_its_own(monkeypatch: pytest.MonkeyPatch, installation: Path) -> None:
    add_user()
    assert "callcov_audit" not in run_json("db", "export", "all.jsonl")["rows"]
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", f"sqlite:///{installation / 'new.db'}")
    add_user("grace@example.com")
    run_json("db", "import", "all.jsonl")
    assert len(entries()) == 1


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^callcov-auth audit .*$", PAGE, re.M))))
def test_a_command_of_the_page_can_be_typed_as_shown(line: str) -> None:
    verb, *rest = shlex.split(line.partition(" > ")[0])[2:]
    command: Any = typer.main.get_command(app)
    leaf = command.commands["audit"].commands[verb]
    assert leaf.make_context(leaf.name, rest).params is not None


def test_the_page_names_every_event_of_the_log_and_no_other() -> None:
    table = PAGE.partition("| event |")[2].partition("\n\n")[0].splitlines()[2:]
    named = {name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {kind.name for kind in AUDITED}


def test_no_password_is_in_it(installation: Path) -> None:
    add_user()
    run_json("users", "set-password", EMAIL, stdin="another horse battery")
    shown = run("audit", "export").stdout
    assert len(shown.splitlines()) == 2
    assert PASSWORD not in shown
    assert "another horse" not in shown
