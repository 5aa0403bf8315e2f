"""Settings, keys and tokens for tests."""

import secrets
import time
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from callcov_auth.keys.format import mint
from callcov_auth.settings import AuthSettings
from callcov_auth.tokens.keyring import load_keyring
from callcov_auth.tokens.verifier import ACCESS


def auth_settings(**changes: Any) -> AuthSettings:
    """Return settings for tests: a fresh secret, a database in memory, plain HTTP, the cheapest Argon2.

    No ``.env`` file is read.
    """
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": "sqlite://",
        "require_https": False,
        "password_time_cost": 1,
        "password_memory_kib": 8,
        **changes,
    }
    return AuthSettings(_env_file=None, **values)


@cache
def shared_settings() -> AuthSettings:
    """Return the settings of the fixture ``auth``: one secret for a run."""
    return auth_settings()


def mint_key(
    settings: AuthSettings | None = None, *, environment: str = "live", segment: str | None = None
) -> str:
    """Return an API key of the right form, whose MAC holds under ``settings``.

    No store knows it: it is refused as unknown, and not at sight. Without settings, those of the fixture
    ``auth``.
    """
    return mint((settings or shared_settings()).key_mac_key, environment, segment)


def mint_token(
    settings: AuthSettings | None = None,
    *,
    subject: str = "usr_test",
    scopes: Collection[str] = (),
    expires_in: float | None = None,
    now: float | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Return an access token, signed as ``settings`` sign, or those of the fixture ``auth``.

    It holds from ``now`` (Unix seconds) for ``expires_in`` seconds; fewer than none make one that expired.
    ``claims`` stand in the place of those of the same name, and None takes one away. Raises ValueError for
    a resource server, which signs nothing.
    """
    settings = settings or shared_settings()
    issued = int(time.time() if now is None else now)
    keyring = load_keyring(settings, lambda: float(issued))
    if keyring is None:
        raise ValueError("a resource server has no signing key: give settings with a secret")
    content = {
        "iss": settings.issuer,
        "sub": subject,
        "aud": settings.audience,
        "exp": issued + int(settings.access_token_ttl if expires_in is None else expires_in),
        "iat": issued,
        "nbf": issued,
        "jti": secrets.token_urlsafe(16),
        "sid": "ses_test",
        "scope": " ".join(sorted(scopes)),
        **(claims or {}),
    }
    return keyring.signing.sign(ACCESS, {name: value for name, value in content.items() if value is not None})
