"""The commands on PostgreSQL."""

import json
from pathlib import Path

import pytest

from tests.cli.running import EMAIL, add_user, run, run_json
from tests.support.databases import Database


@pytest.fixture
def postgres(installation: Path, postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", postgres_database.url)
    return postgres_database


def test_users_and_keys_are_made_there(postgres: Database) -> None:
    add_user(EMAIL, "analysis:read")
    run_json("keys", "create", EMAIL, "--name", "Nightly")
    assert postgres.query("SELECT email FROM callcov_users") == [(EMAIL,)]
    assert [key["name"] for key in run_json("keys", "list")["api_keys"]] == ["Nightly"]


def test_the_doctor_finds_nothing_wrong(postgres: Database) -> None:
    add_user()
    assert run_json("doctor") == {"ok": True, "findings": []}


def test_the_doctor_finds_a_server_that_only_reads(postgres: Database) -> None:
    add_user()
    name = postgres.query("SELECT current_database()")[0][0]
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        found = run("doctor", "--json")
    finally:
        back = f"ALTER DATABASE {name} RESET default_transaction_read_only"
        postgres.run("SET default_transaction_read_only = off", back)

    (finding,) = json.loads(found.stdout)["findings"]

    assert (found.exit_code, finding["check"]) == (1, "database")
    assert finding["problem"].startswith("it only reads")


@pytest.mark.parametrize("command", [("doctor",), ("users", "list")])
def test_a_server_that_is_not_there_is_told_with_the_cure(
    command: tuple[str, ...], installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "postgresql:///auth?host=/missing")
    result = run(*command)
    assert result.exit_code == 1
    assert "check CALLCOV_AUTH_DATABASE_URL, and that its server is up" in result.output


def test_an_address_that_cannot_be_read_is_told_with_the_cure(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "postgresql://h/auth?colour=red")
    result = run("users", "list")
    assert result.exit_code == 2
    assert "write postgresql://USER:PASSWORD@HOST:5432/DATABASE" in result.output
