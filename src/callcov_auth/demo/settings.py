"""The demo's settings and its users."""

import secrets
from pathlib import Path
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from callcov_auth import Auth, AuthSettings

EMAIL = "user@example.com"
# Made for show, in CallCov's own documentation; it opens nothing but a throw-away database.
PASSWORD = "SecurePassword123!"  # noqa: S105
SCOPES = ("analysis:read", "analysis:write")

PUBLIC_PATHS = ("/health", "/docs", "/redoc", "/openapi.json")


class DemoSettings(AuthSettings):
    """Settings from keywords alone: no environment and no ``.env`` changes what the demo shows."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (sources["init_settings"],)


def demo_settings(folder: Path) -> DemoSettings:
    """Return settings with a new secret and a database file in ``folder``; HTTPS is not asked for."""
    return DemoSettings(
        secret=secrets.token_urlsafe(48),
        database_url=f"sqlite:///{folder / 'callcov.db'}",
        require_https=False,
        public_paths=PUBLIC_PATHS,
    )


async def add_users(auth: Auth, *emails: str) -> None:
    """Make a user with PASSWORD and SCOPES for each of ``emails``; opens and closes ``auth``."""
    async with auth:
        for email in emails:
            await auth.users.create(email, PASSWORD, scopes=SCOPES)
