"""fastapi-users: JWT strategy, bearer transport, SQLAlchemy, as its full example; and users in memory."""

import inspect
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from operator import attrgetter
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from benchmarks.peers.apps import fastapi_app
from benchmarks.peers.guarded import CALLER, guarded_app
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "fastapi-users"
# The adapter wants SQLAlchemy 2.0, and so an environment where ours has it too; a cached credential does not
# ask for it. It is pinned so that pip sees the conflict at once.
REQUIREMENTS: tuple[str, ...] = (
    "fastapi-users[sqlalchemy]>=15,<16",
    "fastapi-users-db-sqlalchemy>=7,<8",
    "aiosqlite>=0.20",
)
PYTHON: str | None = None

MORE = (
    "Registers users, verifies their addresses and resets their passwords; OAuth2 logins; cookies; the user "
    "is looked up at each request, so that one can be disabled at once."
)
LESS = "No API keys or scopes, no refresh; a token cannot be revoked with its JWT strategy."

LIFETIME = 86_400


@dataclass(frozen=True, slots=True)
class InMemoryUser:
    """What fastapi-users needs of a user, and a name."""

    id: int
    name: str
    email: str
    hashed_password: str
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = True


def user_model() -> Any:
    from fastapi_users.db import SQLAlchemyBaseUserTableUUID
    from sqlalchemy.orm import DeclarativeBase, Mapped

    class Base(DeclarativeBase):
        pass

    class User(SQLAlchemyBaseUserTableUUID, Base):
        name: Mapped[str]

    return User


async def session_maker_for(model: Any, stack: AsyncExitStack) -> Callable[[], Any]:
    """Return what opens sessions of a new file of SQLite with the model's table."""
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    folder = stack.enter_context(TemporaryDirectory())
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/test.db")
    stack.push_async_callback(engine.dispose)
    async with engine.begin() as connection:
        await connection.run_sync(model.metadata.create_all)
    return async_sessionmaker(engine, expire_on_commit=False)


def user_manager_dependency(model: Any, session_maker: Callable[[], Any]) -> Callable[..., Any]:
    """Return the dependency of the full example: a session, a database and a manager for each request."""
    from fastapi import Depends
    from fastapi_users import BaseUserManager, UUIDIDMixin
    from fastapi_users.db import SQLAlchemyUserDatabase

    class UserManager(UUIDIDMixin, BaseUserManager[Any, uuid.UUID]):
        reset_password_token_secret = verification_token_secret = secrets.token_urlsafe(48)

    async def get_session() -> AsyncIterator[Any]:
        async with session_maker() as session:
            yield session

    async def get_user_db(session: Annotated[Any, Depends(get_session)]) -> AsyncIterator[Any]:
        yield SQLAlchemyUserDatabase(session, model)

    async def get_user_manager(user_db: Annotated[Any, Depends(get_user_db)]) -> AsyncIterator[Any]:
        yield UserManager(user_db)

    return get_user_manager


async def documented(stack: AsyncExitStack) -> tuple[Callable[..., Any], str]:
    from fastapi_users.authentication import JWTStrategy

    model = user_model()
    session_maker = await session_maker_for(model, stack)
    user = model(name=CALLER, email="world@example.com", hashed_password="")
    async with session_maker() as session:
        session.add(user)
        await session.commit()
    secret = secrets.token_urlsafe(48)

    def get_jwt_strategy() -> Any:
        return JWTStrategy(secret=secret, lifetime_seconds=LIFETIME)

    return await guard(user_manager_dependency(model, session_maker), get_jwt_strategy, user)


async def tuned() -> tuple[Callable[..., Any], str]:
    """Return the guard with one manager and one strategy, made once, that no thread is needed for."""
    from fastapi_users import BaseUserManager, IntegerIDMixin
    from fastapi_users.authentication import JWTStrategy
    from fastapi_users.db import BaseUserDatabase

    class InMemory(BaseUserDatabase[InMemoryUser, int]):
        def __init__(self, users: dict[int, InMemoryUser]) -> None:
            self.users = users

        async def get(self, id: int) -> InMemoryUser | None:
            return self.users.get(id)

    class UserManager(IntegerIDMixin, BaseUserManager[InMemoryUser, int]):
        reset_password_token_secret = verification_token_secret = secrets.token_urlsafe(48)

    user = InMemoryUser(1, CALLER, "world@example.com", "")
    manager = UserManager(InMemory({user.id: user}))
    strategy: Any = JWTStrategy(secret=secrets.token_urlsafe(48), lifetime_seconds=LIFETIME)

    async def get_user_manager() -> Any:
        return manager

    async def get_jwt_strategy() -> Any:
        return strategy

    return await guard(get_user_manager, get_jwt_strategy, user)


async def guard(
    get_user_manager: Callable[..., Any], get_strategy: Callable[..., Any], user: Any
) -> tuple[Callable[..., Any], str]:
    """Return the dependency that gives the current active user, and a token of ``user``."""
    from fastapi_users import FastAPIUsers
    from fastapi_users.authentication import AuthenticationBackend, BearerTransport

    backend: Any = AuthenticationBackend(
        name="jwt", transport=BearerTransport(tokenUrl="auth/jwt/login"), get_strategy=get_strategy
    )
    strategy = get_strategy()
    token = await (await strategy if inspect.isawaitable(strategy) else strategy).write_token(user)
    return FastAPIUsers(get_user_manager, [backend]).current_user(active=True), token


async def subjects(stack: AsyncExitStack) -> list[Subject]:
    bare = fastapi_app()

    def subject(is_tuned: bool, dependency: Callable[..., Any], token: str) -> Subject:
        app = guarded_app(dependency, attrgetter("name"))
        return Subject(NAME, is_tuned, app, bare, bearer(token), MORE, LESS)

    return [subject(False, *await documented(stack)), subject(True, *await tuned())]
