"""Settings for tests: a fresh secret each, memory for a database, and Argon2 at its cheapest."""

import secrets
from typing import Any

from callcov_auth import AuthSettings

CHEAP_PASSWORDS = {"password_time_cost": 1, "password_memory_kib": 8}


def make_settings(**changes: Any) -> AuthSettings:
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": "sqlite://",
        **CHEAP_PASSWORDS,
        # Tests refuse more than that from one address; those about it switch it on.
        "failure_rate": None,
        **changes,
    }
    return AuthSettings(_env_file=None, **values)
