"""Our signing keys come and go, by hand or by the calendar, and no token is refused for it.

A key is made, shown in our key set, signs once every copy of that set has it, and verifies until the last
token that it signed has ended. Each step is a time in the store, so many processes take it together.
"""

import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from anyio import Lock, WouldBlock, to_thread
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import PyJWS
from pydantic import Field

from callcov_auth.age import DAY
from callcov_auth.errors import AuthUnavailable, Conflict, NotFound
from callcov_auth.events import OnEvent, SigningKeyAdded, SigningKeyRetired, emit
from callcov_auth.setting_types import SigningAlgorithm
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import SealedKey, Store
from callcov_auth.tokens.keyring import KEY_SET_MAX_AGE, Keyring
from callcov_auth.tokens.stored_keys import KEYRING_INTERVAL, StoredKeys
from callcov_auth.validation import Input, validated

# By then our other processes show the key, and whoever kept our key set before they did has asked again.
PUBLISH_AHEAD = KEY_SET_MAX_AGE + 2 * KEYRING_INTERVAL
# Others take a set of a hundred keys at most, ours among them; the settings' come on top.
MAX_LIVE_KEYS = 50
RSA_BITS = 3072

State = Literal["next", "signing", "verifying", "retired", "unreadable"]

_JWS = PyJWS()
_CURVES: Mapping[str, Callable[[], ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


class SigningKeyRequest(Input):
    """What a new key shall be. ``signs_in`` is in seconds from now."""

    alg: SigningAlgorithm
    signs_in: Annotated[float, Field(ge=0, le=366 * DAY)] | None = None


@dataclass(frozen=True, slots=True)
class ListedSigningKey:
    """A signing key without its private part.

    ``source`` is ``store``, or ``settings`` for one that has no times. ``previous_secret`` says that only
    one of ``previous_secrets`` opens it.
    """

    kid: str
    alg: str
    state: State
    source: Literal["store", "settings"]
    created_at: float | None = None
    signs_from: float | None = None
    retires_at: float | None = None
    previous_secret: bool = False


@dataclass(frozen=True, slots=True)
class _NewKey:
    kid: str
    alg: SigningAlgorithm
    jwk: bytes = field(repr=False)


@dataclass(slots=True)
class SigningKeyService:
    """``stored`` is None in a resource server, which has no keys of its own."""

    settings: AuthSettings
    store: Store
    stored: StoredKeys | None
    clock: Callable[[], float]
    on_event: OnEvent | None = None
    _rotating: Lock = field(default_factory=Lock, init=False, repr=False)

    async def add(self, alg: str | None = None, *, signs_in: float | None = None) -> str:
        """Make a key, show it in our key set, and return its ``kid``.

        It signs ``signs_in`` seconds from now; by default when every copy of the key set has it, and at once
        where the set was empty. The keys before it retire when the last token they signed has ended.
        Raises ValidationFailed, Conflict where there are too many keys already, AuthUnavailable.
        """
        chosen = self.settings.signing_algorithm if alg is None else alg
        request = validated(SigningKeyRequest, {"alg": chosen, "signs_in": signs_in})
        stored = self._stored()
        new = await to_thread.run_sync(_made, request.alg)
        while True:
            present = await stored.load()
            if len(stored.keyring.timed) >= MAX_LIVE_KEYS:
                raise Conflict("There are too many signing keys", reason="signing_key_limit_reached")
            if await self._add(stored, new, request.signs_in, present):
                return new.kid

    async def list(self) -> Sequence[ListedSigningKey]:
        """Return the settings' keys, then the stored ones that are not forgotten yet, the newest last."""
        stored = self._stored()
        kept = await stored.load()
        now = self.clock()
        return [*_listed_fixed(stored.keyring), *(_listed(row, stored, now) for row in kept)]

    async def retire(self, kid: str) -> None:
        """End a key of the store's at once, and with it all that it signed; a second time changes nothing.

        Other processes hear of it within ``KEYRING_INTERVAL``. Raises NotFound, AuthUnavailable, and
        Conflict for the newest key, and for the one that signs where no other can.
        """
        stored = self._stored()
        row = next((row for row in await stored.load() if row.kid == kid), None)
        if row is None:
            raise NotFound("There is no such signing key", reason="signing_key_not_found")
        now = self.clock()
        if row.retires_at is not None and row.retires_at <= now:
            return
        if _is_needed(row, stored.keyring, now):
            raise Conflict("No other key signs in its place", reason="signing_key_needed")
        await self.store.retire_signing_key(kid, at=now)
        await stored.try_to_load()
        emit(SigningKeyRetired(kid, now), self.on_event)

    async def tend(self) -> None:
        """Keep the keyring true to the store, and add the next key where it is due; called now and then."""
        if self.stored is None:
            return
        await self.stored.refresh()
        if self._is_due(self.stored):
            with suppress(AuthUnavailable, WouldBlock):
                await self._rotate(self.stored)

    def _stored(self) -> StoredKeys:
        if self.stored is None:
            raise RuntimeError("a resource server has no signing keys: with CALLCOV_AUTH_SECRET it has one")
        return self.stored

    async def _rotate(self, stored: StoredKeys) -> None:
        self._rotating.acquire_nowait()
        try:
            present = await stored.load()
            if self._is_due(stored):
                new = await to_thread.run_sync(_made, self.settings.signing_algorithm)
                # Where another process was faster, its key is the next one.
                await self._add(stored, new, None, present)
        finally:
            self._rotating.release()

    def _is_due(self, stored: StoredKeys) -> bool:
        days = self.settings.signing_key_rotation_days
        if days is None:
            return False
        live = stored.keyring.timed
        if not live:
            return True
        return len(live) < MAX_LIVE_KEYS and live[-1].signs_from + days * DAY <= self.clock()

    async def _add(
        self, stored: StoredKeys, new: _NewKey, signs_in: float | None, present: Sequence[SealedKey]
    ) -> bool:
        """Add ``new`` where ``present`` are still all keys there are."""
        newest = present[-1] if present else None
        row = self._sealed(stored, new, signs_in, newest)
        retiring = row.signs_from + self._longest_life
        is_newest = await self.store.add_signing_key(
            row, retiring=retiring, only_if_newest=None if newest is None else newest.kid
        )
        if is_newest:
            await stored.try_to_load()
            emit(SigningKeyAdded(row.kid, row.alg, row.signs_from), self.on_event)
            for earlier in present:
                if earlier.retires_at is None:
                    emit(SigningKeyRetired(earlier.kid, retiring), self.on_event)
        return is_newest

    def _sealed(
        self, stored: StoredKeys, new: _NewKey, signs_in: float | None, newest: SealedKey | None
    ) -> SealedKey:
        now = self.clock()
        if signs_in is None:
            signs_in = PUBLISH_AHEAD if stored.keyring.public_set()["keys"] else 0
        # The order of the keys is that of their making, whatever the clocks of the processes say.
        created_at = now if newest is None else max(now, math.nextafter(newest.created_at, math.inf))
        sealed = stored.seals.seal(new.kid, new.jwk)
        return SealedKey(new.kid, new.alg, sealed, created_at, signs_from=now + signs_in)

    @property
    def _longest_life(self) -> float:
        longest = max(self.settings.access_token_ttl, self.settings.refresh_token_ttl)
        return longest + self.settings.leeway


def _made(alg: SigningAlgorithm) -> _NewKey:
    """Make a key; RSA takes most of a second."""
    kid = secrets.token_hex(8)
    jwk = _JWS.get_algorithm_by_name(alg).to_jwk(_private_key(alg), as_dict=True)
    return _NewKey(kid, alg, json.dumps(jwk | {"kid": kid, "alg": alg}).encode())


def _private_key(alg: SigningAlgorithm) -> Any:
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg in _CURVES:
        return ec.generate_private_key(_CURVES[alg]())
    return rsa.generate_private_key(65537, RSA_BITS)


def _is_needed(row: SealedKey, keyring: Keyring, now: float) -> bool:
    """Whether without this key none signs now, or none after the others have retired."""
    readable = {timed.key.kid: timed for timed in keyring.timed}
    if readable.pop(row.kid, None) is None:
        return False
    has_no_successor = row.retires_at is None
    signs_alone = keyring.signing.kid == row.kid and not any(other.signs(now) for other in readable.values())
    return has_no_successor or signs_alone


def _listed_fixed(keyring: Keyring) -> Sequence[ListedSigningKey]:
    signing = keyring.signing.kid
    return [
        ListedSigningKey(key.kid, key.alg, "signing" if key.kid == signing else "verifying", "settings")
        for key in keyring.fixed
    ]


def _listed(row: SealedKey, stored: StoredKeys, now: float) -> ListedSigningKey:
    state = _state(row, stored.keyring, now)
    return ListedSigningKey(
        kid=row.kid,
        alg=row.alg,
        state=state,
        source="store",
        created_at=row.created_at,
        signs_from=row.signs_from,
        retires_at=row.retires_at,
        previous_secret=state != "unreadable" and not stored.seals.is_newest(row.kid, row.sealed),
    )


def _state(row: SealedKey, keyring: Keyring, now: float) -> State:
    if row.retires_at is not None and row.retires_at <= now:
        return "retired"
    if keyring.find(row.kid) is None:
        return "unreadable"
    if keyring.signing.kid == row.kid:
        return "signing"
    return "next" if row.signs_from > now else "verifying"
