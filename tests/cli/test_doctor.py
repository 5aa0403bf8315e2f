"""``doctor``: each thing that can be wrong is found, each has a cure, and nothing is changed."""

import json
import os
import re
import shlex
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer.main

from callcov_auth.cli import checks
from callcov_auth.cli.app import app
from tests.cli.running import EMAIL, add_user, run, run_json, run_process, with_auth
from tests.support.clock import Clock
from tests.support.markdown import sections
from tests.support.redis_server import RedisServer

DAY = 86400
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "doctor.md"


@pytest.fixture
def sound(installation: Path) -> Path:
    """An installation in which nothing is wrong."""
    add_user()
    assert found() == []
    return installation


def found() -> list[dict[str, str]]:
    """Run doctor; its exit code tells whether there are findings, and each has a cure."""
    result = run("doctor", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == ((1, False) if report["findings"] else (0, True))
    assert all(finding["problem"] and finding["cure"] for finding in report["findings"])
    for finding in report["findings"]:
        page, _, section = finding["page"].partition("#")
        assert section in sections(ROOT / page)
    return report["findings"]


def only(check: str) -> dict[str, str]:
    """Return the one finding, which is of ``check``."""
    (finding,) = found()
    assert finding["check"] == check
    return finding


def execute(database: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement).fetchall()


def key_made_days_ago(days: float, **fields: Any) -> str:
    """Make a user and a key as they would have been made ``days`` ago, and return the key's id."""

    async def make(auth) -> str:
        user = await auth.users.create(f"u{days}@example.com", "a long password")
        return (await auth.keys.create(user.id, name="old", **fields)).id

    return with_auth(make, clock=Clock(time.time() - days * DAY))


def test_a_sound_installation_is_told_so(sound: Path) -> None:
    healthy = run_process("doctor")

    assert healthy.returncode == 0
    assert healthy.stdout.startswith("Nothing found: ")


def test_people_read_each_finding_with_its_cure(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")

    ill = run_process("doctor")

    assert ill.returncode == 1
    problem, cure, more = ill.stdout.splitlines()
    assert problem.startswith("https: CALLCOV_AUTH_REQUIRE_HTTPS is off")
    assert cure.startswith("  cure: set it to true")
    assert more == "  more: docs/doctor.md#https-is-not-required"


def test_https_off_is_found(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")

    assert "REQUIRE_HTTPS is off" in only("https")["problem"]


def test_a_redis_that_answers_is_no_finding(
    sound: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REDIS_URL", redis_url)
    assert found() == []


def test_a_redis_that_is_down_is_found(
    sound: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REDIS_URL", own_redis.url)
    own_redis.kill()
    assert "it cannot be used (ConnectionError)" in only("redis")["problem"]


def test_an_option_of_redis_that_there_is_none_of_is_found(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REDIS_URL", "redis://cache/0?colour=hunter22")
    assert "CALLCOV_AUTH_REDIS_URL" in only("settings")["problem"]
    assert "hunter22" not in str(found())


def test_a_lack_of_redis_py_is_found(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REDIS_URL", "redis://cache/0")
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "callcov_auth.redis_pool", raising=False)
    assert "callcov-auth[redis]" in only("redis")["cure"]


def test_a_missing_secret_is_found(folder: Path) -> None:
    finding = only("settings")

    assert finding["problem"].startswith("CALLCOV_AUTH_SECRET: it is required")
    assert finding["cure"].startswith("run 'callcov-auth init'")


def test_a_weak_secret_is_found_and_not_shown(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", "abcabcabc" * 5)

    assert only("settings")["problem"] == "CALLCOV_AUTH_SECRET: it repeats itself too much"
    assert "abcabc" not in run("doctor").output


def test_every_wrong_setting_is_a_finding(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_LEEWAY", "61")
    monkeypatch.setenv("CALLCOV_AUTH_API_PREFIX", "api")

    problems = [finding["problem"].partition(":")[0] for finding in found()]

    assert sorted(problems) == ["CALLCOV_AUTH_API_PREFIX", "CALLCOV_AUTH_LEEWAY"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_an_env_file_that_others_can_open_is_found(sound: Path, mode: int) -> None:
    (sound / ".env").touch(0o600)
    assert found() == []
    (sound / ".env").chmod(mode)

    finding = only("secret")

    assert f"mode 0{mode:o}" in finding["problem"]
    assert finding["cure"] == "chmod 600 .env"


def test_a_missing_database_is_found_and_not_made(installation: Path) -> None:
    assert "there is none yet" in only("database")["problem"]
    assert list(installation.iterdir()) == []


def test_an_empty_file_is_no_database_and_stays_empty(installation: Path) -> None:
    (installation / "callcov_auth.db").touch()

    assert "there is none yet" in only("database")["problem"]
    assert (installation / "callcov_auth.db").stat().st_size == 0


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_found(installation: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", url)

    assert "in memory" in only("database")["problem"]


def test_a_file_that_is_no_database_is_found(installation: Path) -> None:
    (installation / "callcov_auth.db").write_bytes(b"not a database, but long enough to be read as one" * 99)

    finding = only("database")

    assert "cannot be used (store_DatabaseError)" in finding["problem"]
    assert finding["cure"].startswith("check CALLCOV_AUTH_DATABASE_URL")


def test_a_schema_that_is_not_there_yet_is_found_and_not_made(installation: Path) -> None:
    execute(installation / "callcov_auth.db", "CREATE TABLE of_another_program (id INTEGER)")

    finding = only("database")

    assert "schema is empty" in finding["problem"]
    assert "CALLCOV_AUTH_AUTO_MIGRATE" in finding["cure"]
    tables = execute(installation / "callcov_auth.db", "SELECT name FROM sqlite_master")
    assert tables == [("of_another_program",)]


def test_a_newer_schema_is_found(sound: Path) -> None:
    execute(sound / "callcov_auth.db", "UPDATE callcov_schema SET version_num = '9999'")

    finding = only("database")

    assert "newer than this callcov-auth knows" in finding["problem"]
    assert finding["cure"] == "upgrade the package"


def test_a_clock_behind_the_database_is_found(sound: Path) -> None:
    key_made_days_ago(-1)

    assert "and the database holds what was made at" in only("clock")["problem"]


@pytest.mark.parametrize("now", [0.0, 5_000_000_000.0], ids=["1970", "2128"])
def test_a_clock_in_no_plausible_year_is_found(
    folder: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: now)

    clock = next(finding for finding in found() if finding["check"] == "clock")

    assert clock["problem"] == f"it is not {1970 if now == 0 else 2128}, as the clock says"
    assert "NTP" in clock["cure"]


def test_a_key_due_for_rotation_is_found(sound: Path) -> None:
    key_made_days_ago(89)
    assert found() == []
    due = key_made_days_ago(91)

    finding = only("keys")

    assert finding["problem"] == f"1 in use for 90 days or longer: {due}"
    assert "keys rotate" in finding["cure"]


def test_rotating_it_is_the_cure(sound: Path) -> None:
    due = key_made_days_ago(91)
    run_json("keys", "rotate", due)

    assert found() == []


def test_a_revoked_key_is_not_due(sound: Path) -> None:
    run("keys", "revoke", key_made_days_ago(91))

    assert found() == []


def test_many_keys_due_are_counted_and_some_named(sound: Path) -> None:
    for days in range(100, 106):
        key_made_days_ago(days)

    problem = only("keys")["problem"]

    assert problem.startswith("6 in use for 90 days or longer: ")
    assert problem.count("key_") == 5
    assert problem.endswith(", …")


def test_several_findings_come_together(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_made_days_ago(91)
    (sound / ".env").touch(0o644)
    os.chmod(sound / ".env", 0o644)
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")

    assert [finding["check"] for finding in found()] == ["secret", "https", "keys"]


def test_it_changes_nothing(sound: Path) -> None:
    run_json("keys", "create", EMAIL, "--name", "ci")
    before = {path.name: path.read_bytes() for path in sound.iterdir()}

    assert run_process("doctor").returncode == 0
    assert {path.name: path.read_bytes() for path in sound.iterdir()} == before


def test_each_section_of_the_page_is_of_a_finding_and_the_other_way_about() -> None:
    named = re.findall(r'_page\("([a-z-]+)"\)', Path(checks.__file__).read_text("utf-8"))
    assert sorted({*named, "what-doctor-finds"}) == sorted(sections(PAGE))


@pytest.mark.parametrize("line", re.findall(r"^callcov-auth .*$", PAGE.read_text("utf-8"), re.M))
def test_a_command_of_the_page_can_be_typed_as_shown(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command.make_context(command.name, words).params is not None


def test_what_the_page_links_is_there() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", PAGE.read_text("utf-8"))
    assert linked
    for link in linked:
        name, _, section = link.partition("#")
        page = PAGE.parent / name if name else PAGE
        assert not section or section in sections(page), link
