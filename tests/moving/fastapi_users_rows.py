"""Fill the table of fastapi-users, as its own user manager does.

Run by a Python that has fastapi-users, in a folder with ``before.py`` of docs/moving-from-fastapi-users.md:
tests/moving/test_from_fastapi_users.py does that. What came of it is tests/moving/fastapi_users.csv. The
password is that of xkcd 936, for everybody.
"""

import asyncio
import sys
from pathlib import Path

PASSWORD = "correct horse battery staple"
PEOPLE = {
    "ada@example.com": {"is_superuser": True, "is_verified": True},
    "Bob@example.com": {"is_verified": True},
    "carol@example.com": {},
    "dan@example.com": {"is_active": False},
}
# Whose password is older than the library's change to Argon2.
OF_BEFORE = ("carol@example.com",)


async def fill() -> None:
    # Here, for the tests import what stands above without it.
    sys.path.insert(0, str(Path.cwd()))
    import before
    from fastapi_users import schemas
    from fastapi_users.db import SQLAlchemyUserDatabase
    from fastapi_users.password import PasswordHelper
    from pwdlib import PasswordHash
    from pwdlib.hashers.bcrypt import BcryptHasher

    async with before.engine.begin() as connection:
        await connection.run_sync(before.Base.metadata.create_all)
    async with before.sessions() as session:
        for email, marks in PEOPLE.items():
            helper = PasswordHelper(PasswordHash((BcryptHasher(),))) if email in OF_BEFORE else None
            manager = before.UserManager(SQLAlchemyUserDatabase(session, before.User), helper)
            await manager.create(schemas.BaseUserCreate(email=email, password=PASSWORD, **marks), safe=False)
    await before.engine.dispose()


if __name__ == "__main__":
    asyncio.run(fill())
