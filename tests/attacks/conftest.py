"""One world for a family, since no case changes it for another."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.support.clock import Clock
from tests.support.issuers import World, open_world


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
async def world(anyio_backend: str) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.upper().startswith("CALLCOV_AUTH_")]:
            environment.delenv(name)
        async with open_world(Clock()) as opened:
            yield opened
