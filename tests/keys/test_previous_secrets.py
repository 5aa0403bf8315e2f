"""A secret is changed: what was made under the older one still works, and the older one can go one day."""

import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import callcov_auth.store
from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import AuthUnavailable, InvalidToken
from callcov_auth.keys.foreign import pepper_id
from callcov_auth.keys.format import digest, mint
from callcov_auth.keys.service import NewKey
from callcov_auth.keys.validator import RELEARN_PERIOD
from callcov_auth.store.protocol import Key
from callcov_auth.store.sql import SqlStore
from tests.keys.test_validator import CountingStore, bearer, refusal_of
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = (secrets.token_urlsafe(48) for _ in range(3))


@dataclass(slots=True)
class Deployment:
    """A database, opened with one secret after another."""

    path: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}/keys.db"

    def settings(self, secret: str, *previous: str, **more: Any) -> AuthSettings:
        return make_settings(secret=secret, previous_secrets=list(previous), database_url=self.url, **more)

    @asynccontextmanager
    async def under(self, secret: str, *previous: str) -> AsyncIterator[Auth]:
        """An Auth whose store counts the lookups of keys."""
        store = CountingStore(self.url)
        async with Auth(self.settings(secret, *previous), store=store, clock=self.clock) as auth:
            yield auth

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(f"{self.path}/keys.db")) as connection, connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


async def make_key(auth: Auth, name: str = "k") -> NewKey:
    email = f"{name}@example.com"
    owner = await auth.users.create(email, "SecurePassword123!", scopes=["calls:read"])
    return await auth.keys.create(owner.id, name=name)


def lookups(auth: Auth) -> int:
    assert isinstance(auth.store, CountingStore)
    return auth.store.lookups


async def test_the_older_secret_can_go_when_each_key_was_used_once(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        used, unused = await make_key(auth, "used"), await make_key(auth, "unused")
    async with deployment.under(SECOND, FIRST) as auth:
        assert (await auth.authenticate(bearer(used))).key_id == used.id
        moved = await auth.keys.get(used.id)
        assert moved.digest == digest(auth.settings.pepper_key, used.api_key.get_secret_value())
        assert not moved.imported
    async with deployment.under(SECOND) as auth:
        assert (await auth.authenticate(bearer(used))).scopes == {"calls:read"}
        assert (await refusal_of(auth, bearer(unused))).reason == "key_unknown"


async def test_tokens_of_an_older_secret_verify_and_the_session_goes_on(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        await make_key(auth)
        pair = await auth.tokens.login("k@example.com", "SecurePassword123!")
    async with deployment.under(SECOND, FIRST) as auth:
        access = pair.access_token.get_secret_value()
        assert (await auth.authenticate(f"Bearer {access}")).scopes == {"calls:read"}
        renewed = await auth.tokens.refresh(pair.refresh_token.get_secret_value())
    async with deployment.under(SECOND) as auth:
        newer = renewed.access_token.get_secret_value()
        assert (await auth.authenticate(f"Bearer {newer}")).kind == "token"
        assert type(await refusal_of(auth, f"Bearer {access}")) is InvalidToken


async def test_a_pepper_by_itself_can_be_changed_too(deployment: Deployment) -> None:
    async with Auth(deployment.settings(FIRST)) as auth:
        key = await make_key(auth)
    changed = deployment.settings(FIRST, FIRST, pepper=SECOND)
    async with Auth(changed) as auth:
        await auth.authenticate(bearer(key))
    async with Auth(changed.replace(previous_secrets=[])) as auth:
        assert (await auth.authenticate(bearer(key))).key_id == key.id


async def test_a_key_of_the_oldest_secret_costs_one_query(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
    async with deployment.under(THIRD, SECOND, FIRST) as auth:
        await auth.authenticate(bearer(key))
        assert lookups(auth) == 1
    async with deployment.under(THIRD, SECOND, FIRST) as auth:
        unknown = mint(auth.settings.key_mac_keys[2], "live")
        assert (await refusal_of(auth, f"Bearer {unknown}")).reason == "key_unknown"
        assert lookups(auth) == 1


async def test_a_forged_key_costs_none_before_and_after_keys_have_moved(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
    forged = f"Bearer {mint(b'another', 'live')}"
    async with deployment.under(SECOND, FIRST) as auth:
        assert (await refusal_of(auth, forged)).reason == "key_mac_wrong"
        await auth.authenticate(bearer(key))
        deployment.clock.advance(RELEARN_PERIOD)
        assert (await refusal_of(auth, forged)).reason == "key_mac_wrong"
        assert lookups(auth) == 1
    async with deployment.under(SECOND, FIRST) as auth:
        assert (await refusal_of(auth, forged)).reason == "key_mac_wrong"
        assert lookups(auth) == 0


async def test_a_mac_of_a_secret_that_is_gone_is_looked_up(deployment: Deployment) -> None:
    """Only while there is such a key: where none has moved, its MAC tells that it is nobody's."""
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
    async with deployment.under(SECOND) as auth:
        assert (await refusal_of(auth, bearer(key))).reason == "key_unknown"
    deployment.execute("DELETE FROM callcov_api_keys")
    async with deployment.under(SECOND) as auth:
        assert (await refusal_of(auth, bearer(key))).reason == "key_mac_wrong"
        assert lookups(auth) == 0


async def test_a_key_moves_once_and_through_one_secret_after_another(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
    for newest, before in ((SECOND, FIRST), (THIRD, SECOND)):
        async with deployment.under(newest, before) as auth:
            await auth.authenticate(bearer(key))
            stored = await auth.keys.get(key.id)
            assert stored.pepper_id == pepper_id(auth.settings.pepper_key)
            assert stored.mac_id == pepper_id(deployment.settings(FIRST).pepper_key)
    async with deployment.under(THIRD) as auth:
        assert (await auth.authenticate(bearer(key))).key_id == key.id


async def test_rotation_gives_a_key_of_the_secret_in_force(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        old = await make_key(auth)
    async with deployment.under(SECOND, FIRST) as auth:
        new = await auth.keys.rotate(old.id)
        deployment.execute("DELETE FROM callcov_api_keys WHERE id = ?", old.id)
    async with deployment.under(SECOND) as auth:
        assert (await auth.authenticate(bearer(new))).key_id == new.id
        assert (await refusal_of(auth, "Bearer sk_live_x")).reason == "key_malformed"


async def test_a_store_that_cannot_write_refuses_no_older_key(deployment: Deployment) -> None:
    class CannotMove(SqlStore):
        async def move_key(self, key: Key, *, old: bytes) -> None:
            raise AuthUnavailable(reason="store_OperationalError")

    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
    async with Auth(deployment.settings(SECOND, FIRST), store=CannotMove(deployment.url)) as auth:
        assert (await auth.authenticate(bearer(key))).key_id == key.id


async def test_an_older_key_that_ended_is_told_so(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
        await auth.keys.revoke(key.id)
    async with deployment.under(SECOND, FIRST) as auth:
        assert (await refusal_of(auth, bearer(key))).reason == "key_revoked"


async def test_the_same_secret_twice_changes_nothing(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        key = await make_key(auth)
        stored = await auth.keys.get(key.id)
    async with deployment.under(FIRST, FIRST) as auth:
        assert (await auth.authenticate(bearer(key))).key_id == key.id
        assert await auth.keys.get(key.id) == stored


# Keys of before their pepper had a name


def downgrade(deployment: Deployment, revision: str) -> None:
    config = Config()
    folder = Path(callcov_auth.store.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    engine = create_engine(deployment.url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


async def test_keys_of_an_older_schema_work_and_get_their_names_at_first_use(deployment: Deployment) -> None:
    async with deployment.under(FIRST) as auth:
        older, current = await make_key(auth, "older"), await make_key(auth, "current")
    downgrade(deployment, "0002")
    assert "pepper_id" not in str(deployment.execute("SELECT sql FROM sqlite_master"))

    async with deployment.under(FIRST) as auth:
        name = pepper_id(auth.settings.pepper_key)
        assert (await refusal_of(auth, "Bearer sk_live_x")).reason == "key_malformed"
        await auth.authenticate(bearer(current))
        stored = await auth.keys.get(current.id)
        assert (stored.pepper_id, stored.mac_id, stored.imported) == (name, name, False)
        assert (await auth.keys.get(older.id)).pepper_id is None
    async with deployment.under(SECOND, FIRST) as auth:
        await auth.authenticate(bearer(older))
        stored = await auth.keys.get(older.id)
        assert (stored.pepper_id, stored.mac_id) == (pepper_id(auth.settings.pepper_key), name)
    async with deployment.under(SECOND) as auth:
        assert (await auth.authenticate(bearer(older))).key_id == older.id
