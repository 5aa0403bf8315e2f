"""What the operator is told where a signing key cannot be added or retired."""

import re
from pathlib import Path

import pytest

from callcov_auth import Auth
from callcov_auth.errors import Conflict, NotFound
from callcov_auth.tokens.rotation import MAX_LIVE_KEYS
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


async def test_one_key_too_many(auth: Auth) -> None:
    for _ in range(MAX_LIVE_KEYS):
        await auth.signing_keys.add()
    with pytest.raises(Conflict, match=r"^There are too many signing keys$"):
        await auth.signing_keys.add()


async def test_a_key_that_nobody_has(auth: Auth) -> None:
    with pytest.raises(NotFound, match=r"^There is no such signing key$"):
        await auth.signing_keys.retire("0" * 16)


async def test_the_only_key(auth: Auth) -> None:
    kid = await auth.signing_keys.add()
    assert re.fullmatch(r"[0-9a-f]{16}", kid)
    with pytest.raises(Conflict, match=r"^No other key signs in its place$"):
        await auth.signing_keys.retire(kid)


async def test_a_key_that_retired_in_this_very_second_is_not_told_of_again(
    auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    first = await auth.signing_keys.add()
    await auth.signing_keys.add(signs_in=0)
    caplog.set_level("INFO", "callcov_auth")
    caplog.clear()
    for _ in range(2):
        await auth.signing_keys.retire(first)
    assert len([record for record in caplog.records if "signing_key_retired" in record.getMessage()]) == 1


async def test_a_key_of_a_lost_secret_is_not_said_to_be_of_a_previous_one(
    tmp_path: Path, clock: Clock
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with Auth(make_settings(database_url=url), clock=clock) as auth:
        await auth.signing_keys.add()
    async with Auth(make_settings(database_url=url), clock=clock) as auth:
        (lost,) = [key for key in await auth.signing_keys.list() if key.source == "store"]
    assert (lost.state, lost.previous_secret) == ("unreadable", False)
