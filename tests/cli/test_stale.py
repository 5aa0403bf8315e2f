"""``keys stale``: the keys that work and are due, the oldest first."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import EMAIL, add_user, run, run_json, with_auth
from tests.support.clock import Clock

DAY = 86400

pytestmark = pytest.mark.usefixtures("installation")


@pytest.fixture(autouse=True)
def owner(installation: Path) -> str:
    return add_user(EMAIL, "calls:read")


def new_key(owner: str, *, days_ago: float, **fields: Any) -> str:
    """Make a key of that age."""

    async def make(auth: Any) -> str:
        key = await auth.keys.create(owner, name=f"{days_ago} days", **fields)
        return str(key.api_key.get_secret_value())

    return with_auth(make, clock=Clock(time.time() - days_ago * DAY))


def names(*arguments: str) -> list[str]:
    return [key["name"] for key in run_json("keys", "stale", *arguments)["api_keys"]]


def test_the_oldest_come_first_and_younger_ones_do_not(owner: str) -> None:
    for days_ago in (91, 89, 400, 100):
        new_key(owner, days_ago=days_ago)
    assert names() == ["400 days", "100 days", "91 days"]
    assert names("--days", "100") == ["400 days", "100 days"]
    assert names("--days", "0") == ["400 days", "100 days", "91 days", "89 days"]


def test_the_age_is_that_of_the_settings(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new_key(owner, days_ago=40)
    assert names() == []
    monkeypatch.setenv("CALLCOV_AUTH_ROTATION_DAYS", "30")
    assert names() == ["40 days"]
    monkeypatch.setenv("CALLCOV_AUTH_ROTATION_DAYS", "41")
    assert names() == []


def test_those_that_ended_or_soon_will_are_not_due(owner: str) -> None:
    new_key(owner, days_ago=100, expires_in_days=99)
    new_key(owner, days_ago=101, expires_in_days=120)
    new_key(owner, days_ago=102, expires_in_days=150)
    new_key(owner, days_ago=103)
    by_name = {key["name"]: key["id"] for key in run_json("keys", "list")["api_keys"]}
    assert names() == ["103 days", "102 days"]
    run("keys", "revoke", by_name["102 days"])
    assert names() == ["103 days"]
    run("keys", "rotate", by_name["103 days"])
    assert names() == []


def test_a_key_that_was_never_used_is_marked(owner: str) -> None:
    used = new_key(owner, days_ago=100)
    new_key(owner, days_ago=99)
    with_auth(lambda auth: auth.authenticate(f"Bearer {used}"))

    listed = run_json("keys", "stale")["api_keys"]
    assert [(key["never_used"], key["last_used_at"] is None) for key in listed] == [
        (False, False),
        (True, True),
    ]
    assert [key["age_days"] for key in listed] == [100, 99]

    shown = run("keys", "stale")
    heading, first, second = shown.stdout.splitlines()
    assert heading.split()[-1] == "never_used"
    assert (first.split()[-1], second.split()[-1]) == ("no", "yes")
    assert "'callcov-auth keys rotate KEY_ID'" in shown.stderr
    assert used not in shown.output


def test_where_none_is_due_there_is_nothing_to_do() -> None:
    shown = run("keys", "stale")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert len(shown.stdout.splitlines()) == 1


def test_a_number_of_days_is_none_below_zero() -> None:
    assert run("keys", "stale", "--days", "-1").exit_code == 2
