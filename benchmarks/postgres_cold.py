"""A key that is not cached, looked up in PostgreSQL, beside the same SELECT without the package.

    python -m benchmarks.postgres_cold [--rounds N]

Both run in a worker thread, over one connection of psycopg's that commits by itself: in turns A B B A, each
time one call. Prints the ratio of the medians, with its interval. The exit code is 1 above the target.
"""

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from typing import Any

import anyio
import psycopg
from anyio import CapacityLimiter, to_thread
from sqlalchemy import bindparam, create_engine, insert, select
from sqlalchemy.dialects.postgresql import psycopg as dialect

from benchmarks.harness.figures import FULL, Effort, Figure
from benchmarks.harness.stores import KeyFile, rows
from benchmarks.peers.ours import SCOPES, memory_settings
from benchmarks.rows.cold import Lookup, authenticating, compared, contest, shuffled
from callcov_auth import Auth
from callcov_auth.keys.format import digest, mint
from callcov_auth.store.tables import api_keys, users
from tests.support.postgres_server import running_postgres

KEYS = 1_000
ROUNDS = 25
TARGET = 1.5


async def measure(url: str, effort: Effort) -> Figure:
    # One entry, so that no key is remembered until it is sent again.
    settings = memory_settings(database_url=url, cache_size=1)
    async with Auth(settings) as auth:
        user = await auth.users.create("owner@example.com", secrets.token_urlsafe(16), scopes=SCOPES)
        keys = [mint(settings.key_mac_key, "live") for _ in range(KEYS)]
        filled = KeyFile(settings, Any, keys)  # type: ignore[arg-type]
        fill(url, rows(settings, user.id, keys, KEYS))
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            contestants = authenticating(auth, filled), selecting(connection, filled)
            return compared("postgres-cold", await contest(*contestants, effort))


def fill(url: str, values: Iterator[dict[str, Any]]) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(insert(api_keys), list(values))
        connection.exec_driver_sql("ANALYZE callcov_api_keys")
    engine.dispose()


def selecting(connection: psycopg.Connection[Any], keys: KeyFile) -> Lookup:
    """Return the same SELECT in a worker thread, with a limiter of its own as our store has."""
    owned = select(api_keys, users.c.scopes, users.c.disabled_at).join(users, users.c.id == api_keys.c.owner)
    statement = str(owned.where(api_keys.c.digest == bindparam("digest")).compile(dialect=dialect.dialect()))
    digests = cycle([digest(keys.settings.pepper_key, key) for key in shuffled(keys.keys)])
    lane = CapacityLimiter(1)

    def work(wanted: bytes) -> Any:
        return connection.execute(statement, {"digest": wanted}).fetchall()

    return lambda: to_thread.run_sync(work, next(digests), limiter=lane)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    effort = replace(FULL, rounds=parser.parse_args().rounds)
    with running_postgres() as server, server.database() as url:
        figure = anyio.run(measure, url, effort)
    print(f"cold authenticate ÷ bare SELECT: {figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})")
    print(figure.detail["note"])
    sys.exit(figure.value > TARGET)


if __name__ == "__main__":
    main()
