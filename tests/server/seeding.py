"""A database with people in it, and a credential of every kind, made as an operator would make them."""

import time
from dataclasses import dataclass
from pathlib import Path

from callcov_auth import Auth, AuthSettings
from tests.support.raw_http import bearer
from tests.support.settings import make_settings

DAY = 86400
EMAIL = "owner@example.com"
PASSWORD = "correct horse battery"
PUBLIC = ("/health", "/docs/*")
OPTIONAL = ("/maybe", "/guests/*")


@dataclass(frozen=True, slots=True)
class Seeded:
    """What the tests know of the database; every field but ``settings`` and ids is a credential."""

    settings: AuthSettings
    owner_id: str
    key: str
    narrow_key: str
    """Without the scopes that the site's analysis asks for."""
    expired_key: str
    revoked_key: str
    token: str
    refresh_token: str
    ended_refresh_token: str
    expired_token: str
    revoked_key_id: str
    strangers_key_id: str
    full_token: str
    """Of a user who has as many keys as there may be."""

    def lines(self, name: str | None) -> list[bytes]:
        """Return the header lines that carry the credential with this name; ``junk`` is one too."""
        if name is None:
            return []
        return [bearer("sk_live_junk" if name == "junk" else getattr(self, name))]


async def seed(folder: Path) -> Seeded:
    """Make the database in ``folder``. HTTPS is not asked for; tests of it ask for it themselves."""
    settings = make_settings(
        database_url=f"sqlite:///{folder / 'auth.db'}",
        require_https=False,
        max_active_keys=5,
        public_paths=PUBLIC,
        optional_paths=OPTIONAL,
    )
    async with Auth(settings) as auth:
        owner = await auth.users.create(EMAIL, PASSWORD, scopes={"analysis:read", "analysis:write"})
        past_token, past_key = await _made_two_days_ago(settings, owner.id)
        revoked = await auth.keys.create(owner.id, name="revoked")
        await auth.keys.revoke(revoked.id)
        ended, pair = [await auth.tokens.login(EMAIL, PASSWORD) for _ in range(2)]
        await auth.tokens.logout(ended.refresh_token.get_secret_value())
        narrow = await auth.keys.create(owner.id, name="narrow", scopes={"analysis:write"})
        return Seeded(
            settings=settings,
            owner_id=owner.id,
            key=(await auth.keys.create(owner.id, name="good")).api_key.get_secret_value(),
            narrow_key=narrow.api_key.get_secret_value(),
            expired_key=past_key,
            revoked_key=revoked.api_key.get_secret_value(),
            token=pair.access_token.get_secret_value(),
            refresh_token=pair.refresh_token.get_secret_value(),
            ended_refresh_token=ended.refresh_token.get_secret_value(),
            expired_token=past_token,
            revoked_key_id=revoked.id,
            strangers_key_id=await _strangers_key(auth),
            full_token=await _token_of_a_full_user(auth),
        )


async def _made_two_days_ago(settings: AuthSettings, owner: str) -> tuple[str, str]:
    async with Auth(settings, clock=lambda: time.time() - 2 * DAY) as auth:
        key = await auth.keys.create(owner, name="expired", expires_in_days=1)
        return await auth.tokens.issue(owner, scopes={"analysis:read"}), key.api_key.get_secret_value()


async def _strangers_key(auth: Auth) -> str:
    stranger = await auth.users.create("stranger@example.com", PASSWORD)
    return (await auth.keys.create(stranger.id, name="not yours")).id


async def _token_of_a_full_user(auth: Auth) -> str:
    user = await auth.users.create("full@example.com", PASSWORD)
    for number in range(auth.settings.max_active_keys):
        await auth.keys.create(user.id, name=f"key {number}")
    pair = await auth.tokens.login("full@example.com", PASSWORD)
    return pair.access_token.get_secret_value()
