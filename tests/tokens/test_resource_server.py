"""A program that takes others' tokens alone: no secret, no database, nothing of its own to give."""

import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import InvalidToken
from callcov_auth.settings import SettingsError
from tests.support.clock import Clock
from tests.support.issuers import Party, as_setting, signer, trusted_party
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


def make_resource_server(*parties: Party, **changes: Any) -> AuthSettings:
    issuers = [as_setting(party) for party in parties]
    return AuthSettings(_env_file=None, **{"accept": {"token"}, "trusted_issuers": issuers, **changes})


def files_here() -> list[Path]:
    return list(Path().iterdir())


@pytest.fixture
def party(clock: Clock) -> Party:
    return trusted_party("ES256", int(clock()))


async def test_it_needs_no_secret_and_makes_no_file(party: Party, clock: Clock) -> None:
    async with Auth(make_resource_server(party), clock=clock) as auth:
        principal = await auth.authenticate(f"Bearer {party.token()}")
    assert (principal.subject, principal.issuer) == ("usr_1", party.issuer)
    assert files_here() == []


async def test_the_settings_may_come_from_the_environment(
    party: Party, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([as_setting(party)]))
    async with Auth(AuthSettings(), clock=clock) as auth:
        assert (await auth.authenticate(f"Bearer {party.token()}")).issuer == party.issuer


async def test_it_takes_nothing_of_an_issuer_with_its_own_name(party: Party, clock: Clock) -> None:
    async with Auth(make_resource_server(party), clock=clock) as auth:
        for kid in (party.signer.kid, None, "k1"):
            with pytest.raises(InvalidToken) as caught:
                await auth.authenticate("Bearer " + party.token({"kid": kid}, {"iss": "callcov"}))
            assert caught.value.reason == "token_unknown_kid"


async def test_it_takes_no_api_key(party: Party, clock: Clock) -> None:
    async with Auth(make_resource_server(party), clock=clock) as auth:
        with pytest.raises(InvalidToken) as caught:
            await auth.authenticate("Bearer sk_live_" + "a" * 48)
        assert caught.value.reason == "kind_not_accepted"


@pytest.mark.parametrize(
    "use",
    [
        lambda auth: auth.users.create("user@example.com", "SecurePassword123!"),
        lambda auth: auth.keys.create("usr_1", name="k"),
        lambda auth: auth.keys.list(),
        lambda auth: auth.tokens.login("user@example.com", "SecurePassword123!"),
        lambda auth: auth.tokens.issue("usr_1"),
    ],
    ids=["users.create", "keys.create", "keys.list", "tokens.login", "tokens.issue"],
)
async def test_its_services_say_that_there_is_no_store(
    use: Callable[[Auth], Awaitable[Any]], party: Party
) -> None:
    async with Auth(make_resource_server(party)) as auth:
        with pytest.raises(RuntimeError, match=r"a resource server has no store.*CALLCOV_AUTH_SECRET"):
            await use(auth)


def test_it_publishes_no_keys(party: Party) -> None:
    assert Auth(make_resource_server(party)).tokens.public_keys() == {"keys": []}


@pytest.mark.parametrize(
    "changes",
    [{"accept": {"token", "api_key"}}, {"accept": {"api_key"}}, {"trusted_issuers": []}],
    ids=["keys too", "keys alone", "nobody's tokens"],
)
def test_everybody_else_needs_a_secret(party: Party, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="CALLCOV_AUTH_SECRET: it is required"):
        make_resource_server(party, **changes)


def test_a_program_that_signs_is_none_and_needs_its_pepper_and_its_database(party: Party) -> None:
    keys = {"signing_keys": [json.dumps(signer("ES256", "k1").private_jwk())]}
    with pytest.raises(SettingsError, match="CALLCOV_AUTH_SECRET: it is required"):
        make_resource_server(party, **keys)
    pepper = make_settings().secret
    assert not make_resource_server(party, pepper=pepper, **keys).is_resource_server


PROGRAM = """
import sys, anyio
from callcov_auth import Auth, AuthSettings

async def main():
    async with Auth(AuthSettings()) as auth:
        print((await auth.authenticate("Bearer " + sys.argv[1])).issuer)

anyio.run(main)
print([name for name in ("sqlalchemy", "alembic", "httpx2") if name in sys.modules])
"""


def test_no_database_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    party = trusted_party("ES256", int(time.time()))
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([as_setting(party)]))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, party.token()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.splitlines() == [party.issuer, "[]"], ran.stderr
