"""A secret is changed as docs/rotation.md shows, step by step, with keys and tokens from before."""

import secrets
from dataclasses import dataclass
from functools import partial

import anyio
import pytest

from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import AuthError
from tests.cli.running import PASSWORD, run, run_json
from tests.docs.pages import assignments, block
from tests.support.reader import set_up

EMAIL = "ada@example.com"


@dataclass(frozen=True, slots=True)
class Made:
    """What was made under one step's settings."""

    key: str
    unused_key: str
    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Steps:
    monkeypatch: pytest.MonkeyPatch
    values: dict[str, str]

    def take(self, title: str) -> None:
        """Set what the page's block of this title says, and nothing else."""
        self.set(assignments(block("rotation.md", title)))

    def set(self, wanted: dict[str, str]) -> None:
        for name in ("SECRET", "PREVIOUS_SECRETS", "PEPPER"):
            self.monkeypatch.delenv(f"CALLCOV_AUTH_{name}", raising=False)
        for name, value in wanted.items():
            for written, real in self.values.items():
                value = value.replace(written, real)
            self.monkeypatch.setenv(name, value)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    set_up(monkeypatch)
    made = Steps(monkeypatch, {word: secrets.token_urlsafe(48) for word in ("OLD", "NEW")})
    made.set({"CALLCOV_AUTH_SECRET": "OLD"})
    run_json("users", "add", EMAIL, stdin=PASSWORD)
    return made


async def _made() -> Made:
    async with Auth(AuthSettings()) as auth:
        user = await auth.users.by_email(EMAIL)
        keys = [(await auth.keys.create(user.id, name="k")).api_key.get_secret_value() for _ in range(2)]
        pair = await auth.tokens.login(EMAIL, PASSWORD)
        return Made(*keys, pair.access_token.get_secret_value(), pair.refresh_token.get_secret_value())


async def _verdict(credential: str) -> str:
    async with Auth(AuthSettings()) as auth:
        try:
            await auth.authenticate(f"Bearer {credential}")
        except AuthError as error:
            return error.code
        return "good"


async def _refreshed(token: str) -> str:
    async with Auth(AuthSettings()) as auth:
        try:
            await auth.tokens.refresh(token)
        except AuthError as error:
            return error.code
        return "good"


def verdicts(made: Made) -> list[str]:
    told = [anyio.run(_verdict, credential) for credential in (made.key, made.access)]
    return [*told, anyio.run(_refreshed, made.refresh)]


def findings() -> list[str]:
    return [line for line in run("doctor").stdout.splitlines() if "previous secret" in line]


GOOD = ["good"] * 3


def test_nobody_notices_a_change_of_the_secret(steps: Steps) -> None:
    before = anyio.run(_made)
    steps.take("then")
    under_new = anyio.run(_made)

    # While one process is a step ahead of the other, each takes what the other made.
    steps.take("first")
    assert verdicts(before) == verdicts(under_new) == GOOD
    steps.take("then")
    assert verdicts(before) == verdicts(under_new) == GOOD

    (finding,) = findings()
    assert "1 still need a previous secret" in finding
    assert anyio.run(_verdict, before.unused_key) == "good"
    assert findings() == []

    steps.take("at last")
    assert verdicts(under_new) == GOOD
    assert verdicts(before) == ["good", "invalid_token", "invalid_token"]
    assert anyio.run(_verdict, before.unused_key) == "good"


def test_after_a_leak_every_token_ends_and_the_keys_go_on(steps: Steps) -> None:
    before = anyio.run(_made)
    steps.take("leaked")
    assert verdicts(before) == ["good", "invalid_token", "invalid_token"]
    assert verdicts(anyio.run(_made)) == GOOD


def test_a_key_is_rotated_with_the_grace_that_is_shown(steps: Steps) -> None:
    old = anyio.run(_made)
    (key_id, *_) = [key["id"] for key in run_json("keys", "list")["api_keys"]]
    new = run_json("keys", "rotate", key_id, "--grace-seconds", "604800")["api_key"]
    assert {anyio.run(partial(_verdict, key)) for key in (old.key, old.unused_key, new)} == {"good"}
