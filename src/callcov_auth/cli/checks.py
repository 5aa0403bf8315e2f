"""What ``callcov-auth doctor`` looks at. Nothing here writes, and a missing database stays missing."""

import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anyio import to_thread
from sqlalchemy.engine import make_url

from callcov_auth.asgi.answers import rfc3339
from callcov_auth.auth import Auth
from callcov_auth.cli.errors import settings_problems
from callcov_auth.cli.every_key import every_key
from callcov_auth.cli.init import ENV_FILE
from callcov_auth.cli.stale import is_due
from callcov_auth.errors import AuthUnavailable
from callcov_auth.keys.foreign import pepper_id
from callcov_auth.settings import AuthSettings, SettingsError
from callcov_auth.store.protocol import Key, SchemaError
from callcov_auth.store.sql import SqlStore

# A clock outside of these years is a dead battery or a typing error.
PLAUSIBLE = (datetime(2025, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())
MAX_NAMED = 5

_SET_CLOCK = "set the clock, and keep it right with NTP: tokens are refused by it"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, the one thing to do about it, and the page that explains it."""

    check: str
    problem: str
    cure: str
    page: str


def _page(section: str) -> str:
    """Name a section of the page that has one for each finding."""
    return f"docs/doctor.md#{section}"


async def examine(say: Callable[[str], None]) -> list[Finding]:
    """Return everything that is wrong with this installation, from the environment and ``.env``.

    ``say`` hears what is looked at.
    """
    here = [*_env_file(ENV_FILE), *_clock(time.time())]
    try:
        settings = AuthSettings()
    except SettingsError as error:
        return [*here, *_settings(error)]
    say("Looking at Redis")
    redis = await _redis(settings)
    say("Looking at the database")
    # Without Redis, for what is wrong with it was found, and looking at the database needs none.
    database = await _database(settings.replace(redis_url=None))
    return [*here, *_https(settings), *redis, *database]


def _settings(error: SettingsError) -> Iterator[Finding]:
    for problem, cure in settings_problems(error):
        yield Finding("settings", problem, cure, _page("a-setting-is-wrong"))


def _env_file(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        problem = f"{path} is open to others on this machine (mode {mode:04o})"
        yield Finding("secret", problem, f"chmod 600 {path}", _page("the-env-file-is-open-to-others"))


def _clock(now: float) -> Iterator[Finding]:
    earliest, latest = PLAUSIBLE
    if not earliest <= now <= latest:
        problem = f"it is not {datetime.fromtimestamp(now, UTC):%Y}, as the clock says"
        yield Finding("clock", problem, _SET_CLOCK, _page("the-clock-is-wrong"))


def _https(settings: AuthSettings) -> Iterator[Finding]:
    if not settings.require_https:
        yield Finding(
            "https",
            "CALLCOV_AUTH_REQUIRE_HTTPS is off, so credentials may cross networks for all to read",
            "set it to true; where a proxy ends TLS, name it in CALLCOV_AUTH_TRUSTED_PROXIES",
            _page("https-is-not-required"),
        )


async def _redis(settings: AuthSettings) -> list[Finding]:
    if settings.redis_url is None:
        return []
    try:
        from callcov_auth.redis_pool import ping

        await to_thread.run_sync(ping, settings.redis_url.get_secret_value())
    except SettingsError as error:
        return list(_settings(error))
    except ImportError:
        problem = "CALLCOV_AUTH_REDIS_URL is set, and redis is not installed"
        cure = "pip install 'callcov-auth[redis]', or unset CALLCOV_AUTH_REDIS_URL"
        return [Finding("redis", problem, cure, _page("redis-is-not-installed"))]
    except Exception as error:
        # By its kind alone, for its text may hold an address.
        problem = f"it cannot be used ({type(error).__name__}), so revocations are found by polls alone"
        cure = "check CALLCOV_AUTH_REDIS_URL, its password, and that its server is up"
        return [Finding("redis", problem, cure, _page("redis-cannot-be-used"))]
    return []


async def _database(settings: AuthSettings) -> list[Finding]:
    if settings.is_resource_server:
        return []
    missing = missing_database(settings)
    if missing is not None:
        return [missing]
    try:
        async with Auth(settings.replace(auto_migrate=False, signing_key_rotation_days=None)) as auth:
            keys = await every_key(auth, None, include_expired=False, tell=_untold)
            at_keys = [*_keys_due(auth, keys), *_peppers(auth.settings, keys)]
            return [*await _read_only(auth), *await _clock_behind(auth), *at_keys, *await _signing_keys(auth)]
    except SchemaError as error:
        problem, _, cure = str(error).rpartition(": ")
        return [Finding("database", problem, cure, _page("the-schema-does-not-fit"))]
    except AuthUnavailable as error:
        return [
            Finding(
                "database",
                f"it cannot be used ({error.reason})",
                "check CALLCOV_AUTH_DATABASE_URL, and that its server is up, or its file can be read",
                _page("the-database-cannot-be-used"),
            )
        ]


def missing_database(settings: AuthSettings) -> Finding | None:
    """Find a database that keeps nothing, and one that is not there yet."""
    if _file_of(settings) == "":
        return Finding(
            "database",
            "it is in memory, so users and keys are gone when the process ends",
            "set CALLCOV_AUTH_DATABASE_URL=sqlite:///callcov_auth.db",
            _page("the-database-is-in-memory"),
        )
    return database_not_made(settings)


def database_not_made(settings: AuthSettings) -> Finding | None:
    """SQLite makes a file that is missing and fills one that is empty, so both are found before it does."""
    name = _file_of(settings)
    if not name:
        return None
    path = Path(name)
    if path.exists() and path.stat().st_size > 0:
        return None
    return Finding(
        "database",
        "there is none yet where CALLCOV_AUTH_DATABASE_URL says",
        "see that the address and the current folder are right; 'callcov-auth users add' creates it",
        _page("there-is-no-database-yet"),
    )


def _file_of(settings: AuthSettings) -> str | None:
    """Return SQLite's file; an empty text for one in memory, and None for another database."""
    url = settings.database_url.get_secret_value()
    if not url.startswith("sqlite"):
        return None
    name = make_url(url).database
    return "" if name in (None, "", ":memory:") else name


async def _read_only(auth: Auth) -> list[Finding]:
    if not isinstance(auth.store, SqlStore) or not await auth.store.only_reads():
        return []
    problem = "it only reads, so nobody can log in, and no key can be made or revoked"
    cure = "let CALLCOV_AUTH_DATABASE_URL name the server that takes writes, or let this one take them"
    return [Finding("database", problem, cure, _page("the-database-only-reads"))]


async def _clock_behind(auth: Auth) -> list[Finding]:
    page = await auth.keys.list(include_expired=True, limit=1)
    times = [key.created_at for key in page.keys] + [user.created_at for user in await auth.users.list()]
    newest = max(times, default=0.0)
    if newest <= auth.now:
        return []
    problem = f"the clock says {rfc3339(auth.now)}, and the database holds what was made at {rfc3339(newest)}"
    return [Finding("clock", problem, _SET_CLOCK, _page("the-clock-is-behind-the-database"))]


def _keys_due(auth: Auth, keys: list[Key]) -> Iterator[Finding]:
    due = [key.id for key in keys if is_due(key, auth.now, auth.settings.rotation_days)]
    if due:
        problem = f"{len(due)} in use for {auth.settings.rotation_days} days or longer: {_some(due)}"
        cure = "'callcov-auth keys rotate KEY_ID' for each; 'keys stale' lists them"
        yield Finding("keys", problem, cure, _page("keys-are-due-for-rotation"))


def _peppers(settings: AuthSettings, keys: list[Key]) -> Iterator[Finding]:
    """Find the keys that one secret alone does not serve. One that no secret's name stands at is of before
    there were names: it may need any that is set."""
    newest = pepper_id(settings.pepper_key)
    older = {pepper_id(pepper) for pepper in settings.pepper_keys} - {newest}
    foreign = [pepper_id(pepper) for pepper in settings.import_pepper_keys]
    left = [key.id for key in keys if key.pepper_id in older or (older and _is_unnamed(key))]
    imported = [key.id for key in keys if key.pepper_id in foreign]
    known = {newest, *older, *foreign, None}
    lost = [key.id for key in keys if key.pepper_id not in known]
    wait = "leave it set until each was used once; rotate or revoke those that nobody uses"
    if left:
        problem = f"{len(left)} still need a previous secret: {_some(left)}"
        yield Finding("keys", problem, wait, _page("keys-need-a-previous-secret"))
    if imported:
        problem = f"{len(imported)} still need an import pepper: {_some(imported)}"
        yield Finding("keys", problem, wait, _page("keys-need-an-import-pepper"))
    if lost:
        problem = f"{len(lost)} were made under a secret that is not set, and are refused: {_some(lost)}"
        cure = "name it in CALLCOV_AUTH_PREVIOUS_SECRETS, or another program's in CALLCOV_AUTH_IMPORT_PEPPERS"
        yield Finding("keys", problem, cure, _page("keys-whose-secret-is-not-set"))


def _is_unnamed(key: Key) -> bool:
    return key.pepper_id is None and not key.imported


async def _signing_keys(auth: Auth) -> list[Finding]:
    keys = [key for key in await auth.signing_keys.list() if key.state != "retired"]
    unreadable = [key.kid for key in keys if key.state == "unreadable"]
    older = [key.kid for key in keys if key.previous_secret]
    findings = []
    if unreadable:
        problem = f"{len(unreadable)} cannot be opened with any secret that is set: {_some(unreadable)}"
        cure = (
            "name the secret they were made under in CALLCOV_AUTH_PREVIOUS_SECRETS; where it is lost, "
            "'callcov-auth signing-keys retire KID' for each"
        )
        page = _page("signing-keys-that-cannot-be-opened")
        findings.append(Finding("signing keys", problem, cure, page))
    if older:
        problem = f"{len(older)} still sealed under a previous secret: {_some(older)}"
        cure = "'callcov-auth signing-keys add', and keep that secret until they have retired"
        page = _page("signing-keys-under-a-previous-secret")
        findings.append(Finding("signing keys", problem, cure, page))
    return findings


def _untold(_more: int, _total: int | None) -> None:
    """What is being looked at was said; how many keys there are of it is too much."""


def _some(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
