"""keyshield: its FastAPI dependency over SQLAlchemy, as in its README; and in memory, with its own cache."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from operator import attrgetter
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from benchmarks.peers.apps import fastapi_app
from benchmarks.peers.guarded import CALLER, guarded_app
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "keyshield"
REQUIREMENTS: tuple[str, ...] = ("keyshield[core,fastapi]>=2.0,<2.1", "aiosqlite>=0.20", "greenlet>=3")
PYTHON: str | None = None

MORE = "Has doors to Litestar, Quart and Django too, and writes at each request when a key was last used."
LESS = (
    "No tokens, users or logins; as documented it hashes by Argon2 on the event loop, and sleeps "
    "0.1 to 0.3 s (which is no CPU time) at each request; its cache outlives a revocation by another process."
)


async def documented(stack: AsyncExitStack) -> tuple[Callable[..., Any], str]:
    """Return the dependency of the README, over a file of SQLite, and a key."""
    from fastapi import Depends
    from keyshield import ApiKeyService
    from keyshield.api import create_depends_api_key
    from keyshield.hasher.argon2 import Argon2ApiKeyHasher
    from keyshield.repositories.sql import SqlAlchemyApiKeyRepository
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

    folder = stack.enter_context(TemporaryDirectory())
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/db.sqlite3")
    stack.push_async_callback(engine.dispose)
    session_maker = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
    hasher = Argon2ApiKeyHasher(pepper=secrets.token_urlsafe(32))

    async def inject_session() -> AsyncIterator[AsyncSession]:
        async with session_maker() as session, session.begin():
            yield session

    async def inject_service(session: Annotated[AsyncSession, Depends(inject_session)]) -> ApiKeyService:
        repository = SqlAlchemyApiKeyRepository(session)
        await repository.ensure_table(async_engine=engine)
        return ApiKeyService(repo=repository, hasher=hasher)

    async with session_maker() as session, session.begin():
        _, key = await (await inject_service(session)).create(name=CALLER)
    return create_depends_api_key(inject_service), key


async def tuned() -> tuple[Callable[..., Any], str]:
    """Return the same dependency over one service: keys in memory, its cache on, and its delay off.

    The cache is asked without a time limit, which saves a task at each request, and so never asks Argon2
    after the first one.
    """
    from aiocache import SimpleMemoryCache
    from keyshield import ApiKeyService
    from keyshield.api import create_depends_api_key
    from keyshield.hasher.bcrypt import BcryptApiKeyHasher
    from keyshield.repositories.in_memory import InMemoryApiKeyRepository
    from keyshield.services.cached import CachedApiKeyService

    service = CachedApiKeyService(
        repo=InMemoryApiKeyRepository(),
        hasher=BcryptApiKeyHasher(pepper=secrets.token_urlsafe(32), rounds=4),
        cache=SimpleMemoryCache(timeout=None),
        cache_ttl=86_400,
        min_delay=0,
        max_delay=0,
    )

    async def inject_service() -> ApiKeyService:
        return service

    _, key = await service.create(name=CALLER)
    return create_depends_api_key(inject_service), key


async def subjects(stack: AsyncExitStack) -> list[Subject]:
    bare = fastapi_app()

    def subject(is_tuned: bool, dependency: Callable[..., Any], key: str) -> Subject:
        app = guarded_app(dependency, attrgetter("name"))
        return Subject(NAME, is_tuned, app, bare, bearer(key), MORE, LESS)

    return [subject(False, *await documented(stack)), subject(True, *await tuned())]
