"""Servers without lifespan, and revocations that another Auth or another process made."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.keys.service import NewKey
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.server.site import make_site
from tests.support.clock import Clock
from tests.support.polling import eventually_in_thread
from tests.support.raw_http import ask, bearer
from tests.support.servers import serve

REVOKE = """
import sys, anyio
from callcov_auth import Auth, AuthSettings

async def revoke(key_id):
    async with Auth(AuthSettings()) as auth:
        await auth.keys.revoke(key_id)

anyio.run(revoke, sys.argv[1])
"""


@pytest.fixture
def fresh_key(seeded: Seeded) -> Iterator[NewKey]:
    async def create() -> NewKey:
        async with Auth(seeded.settings) as auth:
            return await auth.keys.create(seeded.owner_id, name="fresh")

    key = anyio.run(create)
    yield key
    revoke_elsewhere(seeded, key)


def revoke_elsewhere(seeded: Seeded, key: NewKey) -> None:
    async def revoke() -> None:
        async with Auth(seeded.settings) as auth:
            await auth.keys.revoke(key.id)

    anyio.run(revoke)


def status_of(site: str, key: NewKey) -> int:
    return ask(site, "/api/v1/analysis/", bearer(key.api_key.get_secret_value())).status


def test_without_lifespan_the_auth_opens_at_first_use(seeded: Seeded) -> None:
    auth = Auth(seeded.settings)
    with serve(make_site(auth), lifespan="off") as site:
        before = repr(auth)
        statuses = [
            ask(site, "/api/v1/analysis/", *seeded.lines(name)).status for name in ("key", "revoked_key")
        ]
        after = repr(auth)

    assert (before, statuses, after) == ("Auth(opened=False)", [200, 401], "Auth(opened=True)")


def test_without_lifespan_a_login_opens_it_too(seeded: Seeded) -> None:
    login = f'{{"email": "{EMAIL}", "password": "{PASSWORD}"}}'.encode()
    with serve(make_site(Auth(seeded.settings)), lifespan="off") as site:
        assert ask(site, "/api/v1/auth/login", method="POST", body=login).status == 200


def test_without_lifespan_a_revocation_elsewhere_is_honoured_after_the_interval(
    seeded: Seeded, fresh_key: NewKey
) -> None:
    clock = Clock()
    settings = seeded.settings.replace(revocation_interval=2.0)
    with serve(make_site(Auth(settings, clock=clock)), lifespan="off") as site:
        statuses = [status_of(site, fresh_key)]
        revoke_elsewhere(seeded, fresh_key)
        clock.advance(1.9)
        statuses.append(status_of(site, fresh_key))
        clock.advance(0.1)
        statuses.append(status_of(site, fresh_key))

    assert statuses == [200, 200, 401]


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_a_revocation_by_another_process_is_honoured(
    seeded: Seeded, fresh_key: NewKey, tmp_path: Path, lifespan: str
) -> None:
    settings = seeded.settings.replace(revocation_interval=0.05, cache_ttl=3600)
    with serve(make_site(Auth(settings)), lifespan=lifespan) as site:
        assert status_of(site, fresh_key) == 200
        in_another_process(seeded, REVOKE, fresh_key.id, tmp_path)

        eventually_in_thread(lambda: status_of(site, fresh_key) == 401)


def in_another_process(seeded: Seeded, program: str, argument: str, folder: Path) -> None:
    settings = seeded.settings
    environment = os.environ | {
        "CALLCOV_AUTH_SECRET": settings.secret.get_secret_value(),
        "CALLCOV_AUTH_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    subprocess.run([sys.executable, "-c", program, argument], env=environment, cwd=folder, check=True)
