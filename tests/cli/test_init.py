"""``init``: an .env that nobody else can read, and a database, once."""

import sqlite3
import stat
from pathlib import Path

import pytest

from callcov_auth import AuthSettings
from tests.cli.running import python, run, run_process

# Tells of every file that is opened to be written and of every change of a mode, then runs init.
AUDITED = """
import os, sys
def tell(event, arguments):
    if event == "open" and str(arguments[0]) == ".env":
        print("open", bool(arguments[2] & os.O_EXCL), file=sys.stderr)
    if event in ("os.chmod", "os.chown"):
        print("mode changed", file=sys.stderr)
sys.addaudithook(tell)
sys.argv = ["callcov-auth", "init"]
from callcov_auth.cli import main
main()
"""


def test_init_leaves_an_installation_in_which_doctor_finds_nothing(folder: Path) -> None:
    made = run_process("init")

    assert made.returncode == 0, made.stderr
    assert run_process("doctor").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == [".env", "callcov_auth.db"]


def test_the_secret_is_new_each_time_and_is_not_shown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = run_process("init")
    first = AuthSettings().secret.get_secret_value()
    monkeypatch.chdir(tmp_path)
    run_process("init")
    second = AuthSettings().secret.get_secret_value()

    assert first != second
    assert first not in here.stdout + here.stderr


def test_the_file_is_its_owners_alone_from_the_first_moment(folder: Path) -> None:
    made = python("-c", AUDITED, umask=0)

    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert "open True" in made.stderr, "it is created exclusively"
    assert "mode changed" not in made.stderr, "so that it never had another mode"


def test_an_existing_file_is_never_overwritten(folder: Path) -> None:
    (folder / ".env").write_text("OTHER=1\n")

    refused = run_process("init")

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: .env exists and is never overwritten: move it away")
    assert (folder / ".env").read_text() == "OTHER=1\n"
    assert not (folder / "callcov_auth.db").exists()


def test_a_link_in_the_files_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / ".env").symlink_to(tmp_path / "elsewhere")

    assert run_process("init").returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_where_the_database_cannot_be_made_there_is_no_file_either_and_init_can_be_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite:///missing/callcov_auth.db")
    refused = run("init")

    assert refused.exit_code == 1
    assert "check CALLCOV_AUTH_DATABASE_URL" in refused.stderr
    assert not (folder / ".env").exists()

    (folder / "missing").mkdir()
    assert run("init").exit_code == 0


def test_a_secret_in_the_environment_would_come_first_so_init_refuses(installation: Path) -> None:
    refused = run("init")

    assert refused.exit_code == 2
    assert "CALLCOV_AUTH_SECRET is set in the environment" in refused.stderr
    assert list(installation.iterdir()) == []


def test_the_database_has_the_tables(folder: Path) -> None:
    run("init")

    with sqlite3.connect(folder / "callcov_auth.db") as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    connection.close()
    assert {"callcov_users", "callcov_api_keys", "callcov_sessions", "callcov_schema"} <= tables


def test_a_folder_in_which_nothing_can_be_made_is_a_usage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    refused = run("init")

    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: .env cannot be made here (No such file or directory): run this in another folder.\n"
    )
