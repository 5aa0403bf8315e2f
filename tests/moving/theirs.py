"""Keys as the real keyshield and fastapi-keygate make and keep them, and tables as people export them."""

import csv
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # They may come from any of what these stand on.
    warnings.simplefilter("ignore")
    from keygate import KeyGate
    from keyshield import ApiKeyService
    from keyshield.hasher.argon2 import Argon2ApiKeyHasher
    from keyshield.hasher.base import ApiKeyHasher
    from keyshield.hasher.bcrypt import BcryptApiKeyHasher
    from keyshield.repositories.sql import SqlAlchemyApiKeyRepository

from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

PEPPER = "another program's pepper"
KEYSHIELD_COLUMNS = "key_id, key_hash, name, description, scopes, is_active, created_at, expires_at"


def keyshields_argon2(pepper: str = PEPPER) -> ApiKeyHasher:
    return Argon2ApiKeyHasher(pepper, PasswordHasher(time_cost=1, memory_cost=16, parallelism=2))


def keyshields_bcrypt(pepper: str = PEPPER) -> ApiKeyHasher:
    return BcryptApiKeyHasher(pepper, rounds=4)


async def keyshields_keys(
    url: str, *keys: dict[str, Any], hasher: ApiKeyHasher, verifies: bool = True, **options: Any
) -> list[str]:
    """Make keys in keyshield's table, which is made first; ``options`` are its service's."""
    engine = create_async_engine(url)
    try:
        async with async_sessionmaker(engine)() as session, session.begin():
            repository = SqlAlchemyApiKeyRepository(session)
            await repository.ensure_table(engine)
            service = ApiKeyService(repository, hasher, min_delay=0, max_delay=0, **options)
            made = [(await service.create(**key))[1] for key in keys]
            if verifies:
                assert [bool(await service.verify_key(text)) for text in made] == [True] * len(made)
            return made
    finally:
        await engine.dispose()


def keygate_at(url: str) -> KeyGate:
    return KeyGate(db_url=url)


def exported(database: Path, query: str, file: str) -> str:
    """Write what a query of a SQLite file gives as ``sqlite3 -header -csv`` does."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(query)
        write_csv(file, [column[0] for column in found.description], found.fetchall())
    return file


def rows_of(file: str) -> list[list[str]]:
    """Return the rows of a CSV file, the header first."""
    with Path(file).open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def write_csv(file: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with Path(file).open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows([header, *rows])
