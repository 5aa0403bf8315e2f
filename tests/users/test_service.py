"""Users, through ``auth.users``."""

import pytest

from callcov_auth import Auth
from callcov_auth.errors import (
    AuthUnavailable,
    Conflict,
    InvalidCredentials,
    NotFound,
    TokenRevoked,
    ValidationFailed,
)
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"


async def test_a_new_user(auth: Auth, clock: Clock) -> None:
    user = await auth.users.create("User@Example.com", PASSWORD, scopes={"calls:read"})
    assert (user.email, user.scopes, user.created_at) == ("user@example.com", {"calls:read"}, clock())
    assert user.disabled_at is None
    assert PASSWORD not in repr(user)
    assert user.password_hash not in repr(user)
    assert await auth.users.get(user.id) == user
    assert await auth.users.by_email("USER@example.com") == user
    assert await auth.users.list() == [user]


async def test_an_email_is_taken_once(auth: Auth) -> None:
    await auth.users.create("user@example.com", PASSWORD)
    with pytest.raises(Conflict, match="email exists"):
        await auth.users.create("USER@example.com", PASSWORD)


@pytest.mark.parametrize(
    ("email", "password", "scopes", "named", "why"),
    [
        ("nobody", PASSWORD, [], "email", "This is no email address"),
        ("a@b.cd", "short", [], "password", "String should have at least 8 characters"),
        ("a@b.cd", "x" * 1025, [], "password", "String should have at most 1024 characters"),
        (
            *("a@b.cd", PASSWORD, ["a b"], "scopes.0"),
            "A scope has 1 to 128 ASCII characters, without spaces, quotes and backslashes",
        ),
    ],
)
async def test_what_is_no_user(
    auth: Auth, email: str, password: str, scopes: list[str], named: str, why: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.users.create(email, password, scopes=scopes)
    assert caught.value.details["fields"] == {named: why}


async def test_a_password_is_replaced(auth: Auth) -> None:
    user = await auth.users.create("user@example.com", PASSWORD)
    await auth.users.set_password(user.id, "AnotherPassword456!")
    assert await auth.tokens.login("user@example.com", "AnotherPassword456!")
    with pytest.raises(InvalidCredentials):
        await auth.tokens.login("user@example.com", PASSWORD)
    with pytest.raises(ValidationFailed):
        await auth.users.set_password(user.id, "short")


async def test_nobody_cannot_be_changed(auth: Auth) -> None:
    with pytest.raises(NotFound):
        await auth.users.set_password("usr_none", PASSWORD)
    with pytest.raises(NotFound):
        await auth.users.set_scopes("usr_none", [])
    with pytest.raises(NotFound):
        await auth.users.disable("usr_none")
    with pytest.raises(NotFound):
        await auth.users.enable("usr_none")
    with pytest.raises(NotFound):
        await auth.users.get("usr_none")
    with pytest.raises(NotFound):
        await auth.users.by_email("none@example.com")


async def test_disabling_twice_keeps_the_first_time(auth: Auth, clock: Clock) -> None:
    user = await auth.users.create("user@example.com", PASSWORD)
    await auth.users.disable(user.id)
    disabled_at = clock()
    clock.advance(10)
    await auth.users.disable(user.id)
    assert (await auth.users.get(user.id)).disabled_at == disabled_at


async def test_whoever_is_enabled_again_logs_in_and_uses_the_old_keys(auth: Auth) -> None:
    user = await auth.users.create("user@example.com", PASSWORD)
    key = (await auth.keys.create(user.id, name="k")).api_key.get_secret_value()
    refresh_token = (await auth.tokens.login("user@example.com", PASSWORD)).refresh_token.get_secret_value()
    await auth.authenticate(f"Bearer {key}")
    await auth.users.disable(user.id)
    with pytest.raises(TokenRevoked):
        await auth.authenticate(f"Bearer {key}")

    await auth.users.enable(user.id)

    assert (await auth.authenticate(f"Bearer {key}")).subject == user.id
    assert await auth.tokens.login("user@example.com", PASSWORD)
    with pytest.raises(TokenRevoked):
        await auth.tokens.refresh(refresh_token)


async def test_a_login_hashes_anew_when_the_costs_rise(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/users.db")
    async with Auth(settings) as auth:
        user = await auth.users.create("user@example.com", PASSWORD)
    async with Auth(settings.replace(password_time_cost=2)) as auth:
        with pytest.raises(InvalidCredentials):
            await auth.tokens.login("user@example.com", "wrong")
        assert (await auth.users.get(user.id)).password_hash == user.password_hash
        await auth.tokens.login("user@example.com", PASSWORD)
        renewed = (await auth.users.get(user.id)).password_hash
        assert ",t=2," in renewed
        await auth.tokens.login("user@example.com", PASSWORD)
        assert (await auth.users.get(user.id)).password_hash == renewed


class RenewalFails(SqlStore):
    async def renew_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        raise AuthUnavailable()


async def test_a_login_does_not_fail_because_hashing_anew_does(tmp_path) -> None:  # type: ignore[no-untyped-def]
    url = f"sqlite:///{tmp_path}/users.db"
    async with Auth(make_settings(database_url=url)) as auth:
        await auth.users.create("user@example.com", PASSWORD)
    async with Auth(make_settings(password_time_cost=2), store=RenewalFails(url)) as auth:
        assert await auth.tokens.login("user@example.com", PASSWORD)
