"""What Auth is made of where that depends on a setting: a part, another in its place, or none.

A library that only some need is imported here, when the part that stands on it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callcov_auth.audit import AuditLog
from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.counting import Counters, SharedCounters
from callcov_auth.events import OnEvent
from callcov_auth.settings import AuthSettings, SettingsError
from callcov_auth.store.none import no_store
from callcov_auth.tokens.jwk import BadKey
from callcov_auth.tokens.keyring import Keyring, load_keyring
from callcov_auth.users.throttle import LoginThrottle
from callcov_auth.watching import Watch, unwatched

if TYPE_CHECKING:
    from callcov_auth.cache.pushed import Push


def as_it_is(store: Any) -> Any:
    return store


@dataclass(frozen=True, slots=True)
class Observers:
    """Who hears of what happens and watches it, and what is built in another way for their sake."""

    on_event: OnEvent | None
    watch: Watch = unwatched
    cache: Callable[..., PrincipalCache] = PrincipalCache
    store: Callable[[Any], Any] = as_it_is


def observers_of(settings: AuthSettings, timer: Callable[[], float]) -> Observers:
    if not settings.otel:
        return Observers(settings.on_event)
    try:
        # Here, because a program that nobody watches needs no library for it.
        from callcov_auth.otel import Telemetry
    except ImportError:
        raise SettingsError(
            "CALLCOV_AUTH_OTEL: it needs OpenTelemetry's API; pip install 'callcov-auth[otel]'"
        ) from None
    telemetry = Telemetry(timer=timer, on_event=settings.on_event)
    return Observers(telemetry.hear, telemetry.watch, telemetry.cache, telemetry.store)


def keyring_of(settings: AuthSettings, clock: Callable[[], float]) -> Keyring | None:
    try:
        return load_keyring(settings, clock)
    except BadKey as error:
        raise SettingsError(f"CALLCOV_AUTH_SIGNING_KEYS: {error}") from None


def push_of(settings: AuthSettings, timer: Callable[[], float], on_event: OnEvent | None) -> "Push | None":
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
        on_event=on_event,
    )


def shared_counters_of(
    settings: AuthSettings, timer: Callable[[], float], on_event: OnEvent | None
) -> SharedCounters | None:
    if settings.redis_url is None or settings.is_resource_server:
        return None
    # Here, because a program without Redis needs no library for it; push_of has looked for that.
    from callcov_auth.counting_redis import RedisCounters

    return RedisCounters(
        settings.redis_url.get_secret_value(),
        key=settings.pepper_key,
        timer=timer,
        on_event=on_event,
    )


def audit_log_of(
    settings: AuthSettings,
    store: Any,
    clock: Callable[[], float],
    timer: Callable[[], float],
    on_event: OnEvent | None,
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
        on_event=on_event,
    )


def login_throttle_of(settings: AuthSettings, counters: Counters) -> LoginThrottle:
    return LoginThrottle(settings.login_limit, settings.failure_limit, counters, login_key_of(settings))


def login_key_of(settings: AuthSettings) -> bytes:
    """Return the key of what is derived from an email that somebody gave."""
    # A resource server has no pepper, and nobody logs in there.
    return b"" if settings.is_resource_server else settings.pepper_key


def store_of(settings: AuthSettings, on_event: OnEvent | None) -> Any:
    if settings.is_resource_server:
        return no_store()
    # Here, because a program that brings its own store needs no database library at all.
    from callcov_auth.store.sql import SqlStore

    return SqlStore(
        settings.database_url.get_secret_value(),
        auto_migrate=settings.auto_migrate,
        on_event=on_event,
    )
