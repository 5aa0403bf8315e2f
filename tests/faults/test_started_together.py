"""Many processes that start at once on an empty database: one of them makes the tables, and all serve."""

import secrets
from multiprocessing.connection import Connection

import anyio
import pytest
from alembic import command

from callcov_auth import Auth, AuthSettings
from tests.faults.processes import run_together
from tests.support.databases import Database
from tests.support.settings import CHEAP_PASSWORDS


@pytest.mark.parametrize("processes", [8, pytest.param(20, marks=pytest.mark.long)])
def test_all_serve_and_one_has_migrated(processes: int, new_database: Database) -> None:
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": new_database.url,
        **CHEAP_PASSWORDS,
    }
    orders = [(values, number) for number in range(processes)]
    said = run_together(_serve, orders)
    served = [one for messages in said for one in messages if one == "served"]
    migrated = [one for messages in said for one in messages if one == "migrated"]
    assert (len(served), len(migrated)) == (processes, 1)
    assert len(new_database.query("SELECT id FROM callcov_users")) == processes
    assert len(new_database.query("SELECT version_num FROM callcov_schema")) == 1


def _serve(orders: tuple[dict[str, object], int], pipe: Connection) -> None:
    values, number = orders
    upgrade = command.upgrade

    def watched(*arguments: object) -> None:
        pipe.send("migrated")
        upgrade(*arguments)

    # In this process alone, which ends with the test.
    command.upgrade = watched
    pipe.send("ready")
    pipe.recv()
    anyio.run(_use, values, number)
    pipe.send("served")


async def _use(values: dict[str, object], number: int) -> None:
    async with Auth(AuthSettings(_env_file=None, **values)) as auth:
        user = await auth.users.create(f"user{number}@example.com", secrets.token_urlsafe(16))
        key = await auth.keys.create(user.id, name="Server")
        principal = await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        assert principal.subject == user.id
