"""Two Auths as two processes have them, on one file and one Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from callcov_auth import Auth, AuthSettings
from tests.support.clock import Clock
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer

# In seconds: none of these tests lasts until a poll, or each has had many.
NEVER, OFTEN = 60.0, 0.02
EMAIL, PASSWORD = "ada@example.com", "a long way to Tipperary"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two Auths as two processes have them, on one file and one Redis; ``here`` has all in its cache."""

    here: Auth
    there: Auth
    redis: RedisServer
    user_id: str
    key_id: str
    key: str = field(repr=False)
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    async def heard_by(self, count: int) -> None:
        await eventually(lambda: self._subscribers() == count)

    def _subscribers(self) -> int:
        channel = self.here.settings.revocation_channels[0]
        with self.redis.client() as client:
            return int(client.pubsub_numsub(channel)[0][1])

    def say(self, message: bytes | str) -> None:
        with self.redis.client() as client:
            client.publish(self.here.settings.revocation_channels[0], message)


@asynccontextmanager
async def opened(settings: AuthSettings, server: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    # On a clock that stands still, so that trust in the cache never runs out.
    async with Auth(settings, clock=clock) as here, Auth(settings, clock=clock) as there:
        user = await there.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        new = await there.keys.create(user.id, name="Server")
        tokens = await there.tokens.login(EMAIL, PASSWORD)
        key = f"Bearer {new.api_key.get_secret_value()}"
        token = f"Bearer {tokens.access_token.get_secret_value()}"
        refresh_token = tokens.refresh_token.get_secret_value()
        pair = Pair(here, there, server, user.id, new.id, key, token, refresh_token)
        await pair.heard_by(2)
        for auth in (here, there):
            await eventually(lambda auth=auth: auth._push.subscribed)
        for header in (key, token):
            await here.authenticate(header)
        yield pair


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split()[0] for record in caplog.records if record.name == "callcov_auth"]
