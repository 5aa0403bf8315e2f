"""What Auth is made of where that depends on a setting: a part, another in its place, or none.

A library that only some need is imported here, when the part that stands on it is asked for.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from callcov_auth.audit import AuditLog
from callcov_auth.counting import Counters, SharedCounters
from callcov_auth.settings import AuthSettings, SettingsError
from callcov_auth.store.none import no_store
from callcov_auth.tokens.jwk import BadKey
from callcov_auth.tokens.keyring import Keyring, load_keyring
from callcov_auth.users.throttle import LoginThrottle

if TYPE_CHECKING:
    from callcov_auth.cache.pushed import Push


def keyring_of(settings: AuthSettings, clock: Callable[[], float]) -> Keyring | None:
    try:
        return load_keyring(settings, clock)
    except BadKey as error:
        raise SettingsError(f"CALLCOV_AUTH_SIGNING_KEYS: {error}") from None


def push_of(settings: AuthSettings, timer: Callable[[], float]) -> "Push | None":
    # Others' tokens are revoked by nobody here.
    if settings.redis_url is None or settings.is_resource_server:
        return None
    try:
        # Here, because a program without Redis needs no library for it.
        from callcov_auth.cache.pushed import Push
    except ImportError:
        raise SettingsError(
            "CALLCOV_AUTH_REDIS_URL: it is reached through redis-py; pip install 'callcov-auth[redis]'"
        ) from None
    return Push(
        settings.redis_url.get_secret_value(),
        settings.revocation_channels,
        timer=timer,
        on_event=settings.on_event,
    )


def shared_counters_of(settings: AuthSettings, timer: Callable[[], float]) -> SharedCounters | None:
    if settings.redis_url is None or settings.is_resource_server:
        return None
    # Here, because a program without Redis needs no library for it; push_of has looked for that.
    from callcov_auth.counting_redis import RedisCounters

    return RedisCounters(
        settings.redis_url.get_secret_value(),
        key=settings.pepper_key,
        timer=timer,
        on_event=settings.on_event,
    )


def audit_log_of(
    settings: AuthSettings, store: Any, clock: Callable[[], float], timer: Callable[[], float]
) -> AuditLog | None:
    # A store of somebody's own need not know of it.
    if settings.audit_days == 0 or settings.is_resource_server or not hasattr(store, "add_audit_entries"):
        return None
    return AuditLog(
        store,
        issuer=settings.issuer,
        days=settings.audit_days,
        clock=clock,
        timer=timer,
        on_event=settings.on_event,
    )


def login_throttle_of(settings: AuthSettings, counters: Counters) -> LoginThrottle:
    # A resource server has no pepper, and nobody logs in there.
    key = b"" if settings.is_resource_server else settings.pepper_key
    return LoginThrottle(settings.login_limit, settings.failure_limit, counters, key)


def store_of(settings: AuthSettings) -> Any:
    if settings.is_resource_server:
        return no_store()
    # Here, because a program that brings its own store needs no database library at all.
    from callcov_auth.store.sql import SqlStore

    return SqlStore(
        settings.database_url.get_secret_value(),
        auto_migrate=settings.auto_migrate,
        on_event=settings.on_event,
    )
