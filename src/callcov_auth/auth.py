"""Auth: builds the rooms from settings, opens and closes them, and authenticates."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from callcov_auth.cache.feed import Feed
from callcov_auth.cache.flight import SingleFlight
from callcov_auth.chores import Chore, attempt
from callcov_auth.counting import MAX_COUNTED, Counters, LocalCounters
from callcov_auth.credential import Credential, parse_authorization
from callcov_auth.errors import AuthError, AuthUnavailable, InvalidToken
from callcov_auth.events import Authenticated, emit, is_told, logger
from callcov_auth.failures import Failures
from callcov_auth.keys.last_use import LastUse
from callcov_auth.keys.rated import RatedPrincipal, count_use
from callcov_auth.keys.service import KeyService
from callcov_auth.keys.validator import KeyValidator
from callcov_auth.parts import (
    audit_log_of,
    keyring_of,
    login_key_of,
    login_throttle_of,
    observers_of,
    push_of,
    shared_counters_of,
    store_of,
)
from callcov_auth.principal import Principal
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Store
from callcov_auth.tokens.families import Families
from callcov_auth.tokens.issuer import TokenService
from callcov_auth.tokens.jwks import RemoteKeys
from callcov_auth.tokens.keyring import Keyring
from callcov_auth.tokens.rotation import SigningKeyService
from callcov_auth.tokens.sealing import Seals
from callcov_auth.tokens.stored_keys import StoredKeys
from callcov_auth.tokens.trusted import load_issuers
from callcov_auth.tokens.verifier import TokenVerifier
from callcov_auth.users.passwords import Passwords
from callcov_auth.users.service import UserService

# How long closing waits for the last writes, in seconds.
CLOSING_GRACE = 5.0
# How often it is looked whether an issuer's keys are due, in seconds.
KEYS_INTERVAL = 1.0


class Auth:
    """Authentication, one for each process.

    ``clock`` gives Unix seconds; given one, the cache's ages follow it too, so that a test moves both.
    Open it with ``async with``, leave that to AuthMiddleware, or call ``open`` and ``aclose``.

        async with Auth(AuthSettings()) as auth:
            principal = await auth.authenticate("Bearer sk_live_…")
    """

    def __init__(
        self,
        settings: AuthSettings,
        *,
        store: Store | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.settings = settings
        """What it was made with."""
        self._clock = clock or time.time
        self._timer = clock or time.monotonic
        observers = observers_of(settings, self._timer)
        self._watch = observers.watch
        self.listener = observers.on_event
        """Whom all events are told."""
        self.store = observers.store(store or store_of(settings, self.listener))
        """Where users, keys and sessions live: what ``callcov_auth.store.protocol`` says."""
        self.callers = observers.cache(
            settings.cache_size, timer=self._timer, hashed=settings.hash_cached_credentials
        )
        """Who was verified a moment ago, by the value of the ``Authorization`` header."""
        # A key with a rate is named so that no header finds it: each of its uses must be counted. A guess
        # that a header could hold would not be, so nobody can guess it.
        self._rated = secrets.token_bytes(16)
        self._flights: SingleFlight[Principal] = SingleFlight()
        self._push = push_of(settings, self._timer, self.listener)
        self._audit = audit_log_of(settings, self.store, self._clock, self._timer, self.listener)
        self.on_event = self.listener if self._audit is None else self._audit.hear
        """Whom those events are told that are for the audit log too."""
        self._feed = Feed(
            self.store,
            self.callers,
            interval=settings.revocation_interval,
            timer=self._timer,
            push=self._push,
            on_event=self.listener,
        )
        self._last_use = LastUse(self.store, timer=self._timer, on_event=self.listener)
        self._writers = (self._last_use,) if self._audit is None else (self._last_use, self._audit)
        self._key_starts = settings.key_starts
        self._keys = KeyValidator(settings, self.store, self._last_use, self._clock, self._timer)
        keyring = keyring_of(settings, self._clock)
        self._own_keys = None if keyring is None else self._stored_keys(keyring)
        issuers, self._remote_keys = load_issuers(settings, self._timer, self.listener)
        self._tokens = TokenVerifier(settings, self.store, self._own_keys, issuers, self._clock)
        self._opening = anyio.Lock()
        self._opened = 0
        self._entered = 0
        self._background: TaskGroup | None = None

        limit = settings.failure_limit
        self.failures = None if limit is None else Failures(limit, self._timer)
        """How often credentials were refused, by the address that sent them; None where nobody counts."""
        self._shared = shared_counters_of(settings, self._timer, self.listener)
        counters: Counters = self._shared or LocalCounters(MAX_COUNTED, self._timer)
        # By themselves, so that failed logins push no key's count out.
        self._key_counters: Counters = self._shared or LocalCounters(MAX_COUNTED, self._timer)
        self.keys = KeyService(
            settings, self.store, self._feed, self._keys, self._clock, on_event=self.on_event
        )
        """API keys: a KeyService."""
        self.users = self._user_service(counters)
        """Users and their passwords: a UserService."""
        self.tokens = self._token_service(keyring)
        """Login, refresh, logout, and tokens by themselves: a TokenService."""
        self.signing_keys = SigningKeyService(
            settings, self.store, self._own_keys, self._clock, on_event=self.on_event
        )
        """The keys that sign our tokens: add, list and retire them."""
        pruned = () if self._audit is None else (self._audit.prune,)
        self._chores: tuple[Chore, ...] = (
            self._keys.relearn,
            self._last_use.flush,
            self.signing_keys.tend,
            self._share_failures,
            *pruned,
        )

    def __repr__(self) -> str:
        return f"Auth(opened={self._opened > 0})"

    @property
    def now(self) -> float:
        """The clock's Unix seconds."""
        return self._clock()

    @property
    def timer(self) -> Callable[[], float]:
        """The monotonic clock that ages are taken by, in seconds."""
        return self._timer

    @property
    def is_tended(self) -> bool:
        """Whether a background task does what is due."""
        return self._background is not None

    async def is_ready(self) -> bool:
        """Whether a credential can be decided on now: the store answers, and the cache is trusted."""
        try:
            await self.ensure_open()
            await self.store.changes_after(None)
            # Without waiting for the next poll: who asks decides whether requests come here.
            await (self._feed.catch_up() if self.is_tended else self._catch_up())
        except Exception as error:
            logger.debug("not ready: %s", type(error).__name__)
            return False
        return self._feed.trusts_cache(self._timer())

    async def open(self) -> None:
        """Connect the store and bring its schema up to date. Raises SchemaError, AuthUnavailable.

        Without ``async with`` there is no background task: other processes' revocations are then asked
        for by the first request after each interval, and so is the state of the signing keys.
        """
        async with self._opening:
            if self._opened == 0:
                await self._connect()
            self._opened += 1

    async def aclose(self) -> None:
        """Write what is pending and disconnect, when every ``open`` has its ``aclose``."""
        # Shielded, so that a server which cancels its shutdown loses no writes.
        with anyio.CancelScope(shield=True):
            async with self._opening:
                self._opened -= 1
                if self._opened == 0:
                    await self._disconnect()

    async def __aenter__(self) -> Self:
        await self.open()
        self._entered += 1
        if self._entered == 1:
            self._background = anyio.create_task_group()
            await self._background.__aenter__()
            self._feed.in_background = True
            # Apart, for a write that waits for the disk must not let the trust in the cache run out.
            self._background.start_soon(self._feed.keep_polling)
            self._background.start_soon(self._housekeeping)
            if self._audit is not None:
                self._background.start_soon(self._audit.keep_writing)
            if self._push is not None:
                self._background.start_soon(self._push.listen, self._feed)
            for keys in self._remote_keys:
                self._background.start_soon(self._refreshing, keys)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered -= 1
        try:
            if self._entered == 0 and self._background is not None:
                await self._stop_background(self._background)
        finally:
            # Whatever a server does to its shutdown, what is pending is written.
            await self.aclose()

    async def _stop_background(self, background: TaskGroup) -> None:
        self._background = None
        self._feed.in_background = False
        background.cancel_scope.cancel()
        await background.__aexit__(None, None, None)

    async def ensure_open(self) -> None:
        """Open at first use, where nobody opened it before; once for all who come first together."""
        if self._opened == 0:
            await self._open_first()
        if not self.is_tended:
            await self.signing_keys.tend()

    async def _open_first(self) -> None:
        async with self._opening:
            if self._opened == 0:
                await self._connect()
                self._opened = 1

    async def authenticate(self, authorization: bytes | str) -> Principal:
        """Return whose ``Authorization`` header value this is; of a key with a rate it is one use.

        Raises InvalidToken, TokenExpired, TokenRevoked, RateLimited for a key whose rate is used up, or
        AuthUnavailable where that cannot be known.
        """
        if not self.is_tended:
            await self.tend()
        seen = self.at_sight(
            _header_bytes(authorization) if isinstance(authorization, str) else authorization
        )
        return await self.look_up(seen) if isinstance(seen, Credential) else seen

    async def tend(self) -> None:
        """Do what is due, where no background task does it: before each decision, unless ``is_tended``."""
        await self.ensure_open()
        await self._catch_up()

    def at_sight(self, authorization: bytes) -> Principal | Credential:
        """Return the caller who was verified a moment ago, or a credential that must be looked up.

        Raises InvalidToken for what is refused by itself: most of what an attacker sends.
        """
        cached = self.callers.get(authorization)
        if cached is not None:
            return cached
        credential = parse_authorization(authorization, self._key_starts)
        if credential.kind not in self.settings.accept:
            raise InvalidToken("This kind of credential is not accepted here", reason="kind_not_accepted")
        if credential.kind == "api_key":
            self._keys.refuse_at_sight(credential.text)
        header = credential.header
        return credential if header == authorization else self.callers.get(header) or credential

    async def look_up(self, credential: Credential) -> Principal:
        """Return whose credential this is, which ``at_sight`` did not refuse. Raises as ``authenticate``."""
        header = credential.header
        # Whoever comes after a revocation must not board a lookup that began before it.
        name = (header, self.callers.version)
        caller = self.callers.get(self._rated + header) or await self._flights.run(
            name, partial(self._look_up, credential, header)
        )
        if isinstance(caller, RatedPrincipal):
            await count_use(caller, self._key_counters)
        return caller

    def has_met(self, authorization: bytes) -> bool:
        """Whether this header value was verified lately, or is being looked up: that is nobody's guess."""
        if self.callers.holds(authorization):
            return True
        try:
            header = parse_authorization(authorization, self._key_starts).header
        except AuthError:
            return False
        is_held = self.callers.holds(header) or self.callers.holds(self._rated + header)
        return is_held or (header, self.callers.version) in self._flights

    async def _look_up(self, credential: Credential, header: bytes) -> Principal:
        # Before the lookup: see PrincipalCache.put.
        version = self.callers.version
        with self._watch("authenticate", kind=credential.kind):
            if credential.kind == "api_key":
                principal = await self._keys.validate(credential.text)
            else:
                principal = await self._tokens.verify(credential.text)
        name = self._rated + header if isinstance(principal, RatedPrincipal) else header
        self.callers.put(name, principal, self._until(principal), version=version)
        if is_told(Authenticated, self.on_event):
            emit(_authenticated(principal), self.on_event)
        return principal

    def _until(self, principal: Principal) -> float:
        lifetime = self.settings.cache_ttl
        if principal.expires_at is not None:
            leeway = self.settings.leeway if principal.kind == "token" else 0
            lifetime = min(lifetime, principal.expires_at + leeway - self._clock())
        return self._timer() + lifetime

    def _user_service(self, counters: Counters) -> UserService:
        settings = self.settings
        return UserService(
            store=self.store,
            feed=self._feed,
            passwords=Passwords(
                time_cost=settings.password_time_cost,
                memory_kib=settings.password_memory_kib,
                workers=settings.password_workers,
                watch=self._watch,
            ),
            throttle=login_throttle_of(settings, counters),
            decoy_key=login_key_of(settings),
            clock=self._clock,
            on_event=self.on_event,
        )

    def _token_service(self, keyring: Keyring | None) -> TokenService:
        settings = self.settings
        return TokenService(
            settings=settings,
            store=self.store,
            feed=self._feed,
            families=Families(
                store=self.store,
                feed=self._feed,
                rotates=settings.rotate_refresh_tokens,
                grace=settings.refresh_grace,
                clock=self._clock,
                on_event=self.on_event,
            ),
            keyring=keyring,
            verifier=self._tokens,
            check_password=self.users.check_password,
            clock=self._clock,
            on_event=self.on_event,
            watch=self._watch,
        )

    def _stored_keys(self, keyring: Keyring) -> StoredKeys:
        # A key that is gone takes with it whoever was verified by it.
        return StoredKeys(
            keyring,
            self.store,
            Seals(self.settings.seal_keys),
            timer=self._timer,
            on_loss=self.callers.forget_all,
            on_event=self.listener,
        )

    async def _connect(self) -> None:
        try:
            await self.store.open()
            await self._keys.learn()
            if self._own_keys is not None:
                await self._own_keys.load()
            await self._feed.poll()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.store.aclose()
            raise

    async def _disconnect(self) -> None:
        with anyio.move_on_after(CLOSING_GRACE):
            for writer in self._writers:
                await writer.flush()
        for writer in self._writers:
            writer.give_up()
        self.callers.clear()
        if self._push is not None:
            self._push.close()
        if self._shared is not None:
            await self._shared.aclose()
        await self.store.aclose()

    async def _catch_up(self) -> None:
        """Do here what a background task would, where there is none."""
        if await self._feed.catch_up():
            await self._do_chores()
            if self._audit is not None:
                # By itself, for in the background it writes in its own time.
                await attempt(self._audit.flush)

    async def _share_failures(self) -> None:
        if self.failures is not None and self._shared is not None:
            # What cannot be told is counted here; the log has said that Redis is lost.
            with suppress(AuthUnavailable):
                await self.failures.share(self._shared)

    async def _refreshing(self, keys: RemoteKeys) -> None:
        while True:
            await keys.refresh()
            await anyio.sleep(KEYS_INTERVAL)

    async def _housekeeping(self) -> None:
        while True:
            await anyio.sleep(self.settings.revocation_interval)
            await self._do_chores()

    async def _do_chores(self) -> None:
        for chore in self._chores:
            await attempt(chore)


def _authenticated(principal: Principal) -> Authenticated:
    return Authenticated(
        principal.kind, principal.subject, principal.issuer, principal.key_id, principal.session_id
    )


def _header_bytes(authorization: str) -> bytes:
    try:
        return authorization.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken(
            "The Authorization header is malformed", reason="header_not_visible_ascii"
        ) from None
