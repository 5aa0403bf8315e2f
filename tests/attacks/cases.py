"""What an attack case and a control are, and the doors that they come to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import pytest

from callcov_auth.errors import AuthError, InvalidToken
from callcov_auth.principal import Principal
from callcov_auth.store.protocol import User
from callcov_auth.tokens.issuer import TokenPair
from tests.support.issuers import ABSENT, Party, World, own_party

Door = Literal["authenticate", "refresh", "start", "gate"]
Make = Callable[[World], str | bytes]
Attempt = Callable[[World], Awaitable[object]]

PASSWORD = "SecurePassword123!"
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Case:
    """An attack, where it comes from, and what refuses it. ``attempt`` knocks at ``door``."""

    name: str
    source: str
    reason: str
    attempt: Attempt
    error: type[Exception] = InvalidToken
    door: Door = "authenticate"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Control:
    """What stands near the edge, and must be taken."""

    name: str
    attempt: Attempt

    def __str__(self) -> str:
        return self.name


def sent(name: str, source: str, reason: str, make: Make, error: type[Exception] = InvalidToken) -> Case:
    """Return the case of a token, or of a whole header value in bytes, given to ``Auth.authenticate``."""
    return Case(name, source, reason, sends(make), error)


def control(name: str, make: Make) -> Control:
    return Control(name, sends(make))


def sends(make: Make) -> Attempt:
    async def attempt(world: World) -> Principal:
        made = make(world)
        return await world.auth.authenticate(made if isinstance(made, bytes) else f"Bearer {made}")

    return attempt


def refreshes(make: Callable[[Party], str]) -> Attempt:
    """Return the attempt with what is made of our own refresh tokens, for a session that is there."""

    async def attempt(world: World) -> object:
        pair = await logged_in(world)
        access = await world.auth.authenticate(f"Bearer {pair.access_token.get_secret_value()}")
        usual = {"sub": access.subject, "sid": access.session_id}
        party = replace(own_party(world.auth, world.clock, "rt+jwt"), usual=usual)
        return await world.auth.tokens.refresh(make(party))

    return attempt


async def logged_in(world: World) -> TokenPair:
    """Return the tokens of a new user."""
    user = await new_user(world)
    return await world.auth.tokens.login(user.email, PASSWORD)


async def new_user(world: World) -> User:
    return await world.auth.users.create(f"user-{next(_NUMBERS)}@example.com", PASSWORD, scopes=["*"])


def shown(value: object) -> str:
    return "that is absent" if value is ABSENT else repr(value)[:40]


def with_header(who: str, **changes: Any) -> Make:
    return lambda world: world[who].token(header=changes)


def with_claims(who: str, **changes: Any) -> Make:
    return lambda world: world[who].token(claims=changes)


async def refused(case: Case, world: World) -> None:
    with pytest.raises(case.error) as caught:
        await case.attempt(world)
    assert type(caught.value) is case.error
    if isinstance(caught.value, AuthError):
        assert caught.value.reason == case.reason
    else:
        assert case.reason in str(caught.value)


async def taken(control: Control, world: World) -> None:
    assert await control.attempt(world) is not None
