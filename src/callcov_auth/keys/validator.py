"""API key → Principal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from cachetools import TTLCache

from callcov_auth.errors import AuthError, AuthUnavailable, Conflict, InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.keys import foreign
from callcov_auth.keys import format as key_format
from callcov_auth.keys.last_use import LastUse
from callcov_auth.keys.rated import RatedPrincipal
from callcov_auth.keys.salted import SaltedHashes
from callcov_auth.principal import Principal, cut
from callcov_auth.rates import Rate
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Key, OwnedKey, Store

UNKNOWN_KEY = "The API key is not valid"
WRONG_PLACE = "The API key is not accepted in this environment"
# How long another process's import may stay unseen here, in seconds.
RELEARN_PERIOD = 5.0
# How many unknown keys are remembered as such, apart from the good ones, which they thus cannot push out.
MAX_UNKNOWN = 4096


@dataclass(slots=True)
class KeyValidator:
    """Decides on API keys. ``timer`` is monotonic, in seconds."""

    settings: AuthSettings
    store: Store
    last_use: LastUse
    clock: Callable[[], float]
    timer: Callable[[], float]
    foreign_keys: bool = False
    """Whether keys are stored which carry no MAC that can be checked here."""
    salted: SaltedHashes = field(init=False, repr=False)
    _asked_at: float = float("-inf")
    _unknown: TTLCache[str, bool] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.salted = SaltedHashes(
            {foreign.pepper_id(pepper): pepper for pepper in self.settings.import_pepper_keys}
        )
        self._unknown = TTLCache(MAX_UNKNOWN, self.settings.negative_ttl, self.timer)

    async def learn(self) -> None:
        """See once, at the start, whether every stored key carries a MAC of ours. Raises AuthUnavailable."""
        self._asked_at = self.timer()
        mac_ids = [foreign.pepper_id(pepper) for pepper in self.settings.pepper_keys]
        self.foreign_keys = await self.store.has_foreign_keys(mac_ids)

    async def relearn(self) -> None:
        """See now and then whether another process imported keys; a store that is down is asked again."""
        if self.foreign_keys or self.timer() < self._asked_at + RELEARN_PERIOD:
            return
        self._asked_at = self.timer()
        with suppress(AuthUnavailable):
            if await self.store.has_imported_keys():
                self.expect_foreign_keys()

    def expect_foreign_keys(self) -> None:
        """From now on look up what carries no MAC of ours, and what was unknown a moment ago."""
        self.foreign_keys = True
        self._unknown.clear()

    def refuse_at_sight(self, text: str) -> None:
        """Refuse what needs no lookup: forged keys, and what was found unknown within ``negative_ttl``.

        Raises InvalidToken.
        """
        if not self.foreign_keys:
            form = key_format.read(text)
            if form is None:
                raise InvalidToken(UNKNOWN_KEY, reason="key_malformed")
            if not form.is_genuine(self.settings.key_mac_keys):
                raise InvalidToken(UNKNOWN_KEY, reason="key_mac_wrong")
            self._refuse_misplaced(form.environment, form.segment)
        if text in self._unknown:
            raise InvalidToken(UNKNOWN_KEY, reason="key_still_unknown")

    async def validate(self, text: str) -> Principal:
        """Look a key up that is not refused at sight.

        Raises InvalidToken, TokenExpired, TokenRevoked, or AuthUnavailable.
        """
        owned = await self._find(text)
        now = self.clock()
        _refuse_ended(owned, now)
        self._refuse_misplaced(owned.key.environment, owned.key.segment)
        self.last_use.note(owned.key.id, now)
        return self._principal(owned)

    async def find(self, text: str) -> OwnedKey | None:
        """Return the stored key of any text, whether or not it works, and change nothing."""
        return await self._stored(text, self._lookups(text)) if text.isascii() else None

    async def _find(self, text: str) -> OwnedKey:
        digests = self._lookups(text)
        owned = await self._stored(text, digests)
        if owned is None:
            self._unknown[text] = True
            raise InvalidToken(UNKNOWN_KEY, reason="key_unknown")
        settled = _settled(owned.key, digests)
        if settled is not owned.key:
            # The key is good whether or not this can be written now, or was written by another process.
            with suppress(AuthUnavailable, Conflict):
                await self.store.move_key(settled, old=owned.key.digest)
        return owned

    async def _stored(self, text: str, digests: Mapping[bytes, str | None]) -> OwnedKey | None:
        prefixes = foreign.prefixes(text) if self.foreign_keys else ()
        found = await self.store.keys_by_digest(digests, prefixes)
        return _by_digest(found, digests) or await self._by_salted_hash(found, text)

    def _lookups(self, text: str) -> Mapping[bytes, str | None]:
        if self.foreign_keys:
            return foreign.lookups(self.settings, text)
        return foreign.own_lookups(self.settings, text)

    async def _by_salted_hash(self, found: Sequence[OwnedKey], text: str) -> OwnedKey | None:
        longest_first = sorted(found, key=lambda owned: -len(owned.key.key_prefix))
        return await self.salted.matching(longest_first, text)

    def _refuse_misplaced(self, environment: str, segment: str | None) -> None:
        if environment not in self.settings.accepted_environments:
            raise InvalidToken(WRONG_PLACE, reason="key_environment")
        accepted = self.settings.accepted_segments
        if accepted is not None and segment not in accepted:
            raise InvalidToken(WRONG_PLACE, reason="key_segment")

    def _principal(self, owned: OwnedKey) -> Principal:
        key = owned.key
        kind = Principal if key.rate is None else partial(RatedPrincipal, rate=Rate.parse(key.rate))
        return kind(
            subject=key.owner,
            issuer=self.settings.issuer,
            kind="api_key",
            scopes=cut(key.scopes, owned.owner_scopes),
            environment=key.environment,
            segment=key.segment,
            key_id=key.id,
            expires_at=key.expires_at,
        )


def _refuse_ended(owned: OwnedKey, now: float) -> None:
    key = owned.key
    if key.revoked_at is not None:
        raise _known(key, TokenRevoked("The API key was revoked", reason="key_revoked"))
    if owned.owner_disabled:
        raise _known(key, TokenRevoked("The API key was revoked", reason="key_owner_disabled"))
    if key.expires_at is not None and key.expires_at <= now:
        raise _known(key, TokenExpired(reason="key_expired"))


def _known(key: Key, refusal: AuthError) -> AuthError:
    """Return ``refusal`` with what the log is to say of the key: somebody holds it who should not."""
    refusal.key_id, refusal.key_owner = key.id, key.owner
    return refusal


def _by_digest(found: Sequence[OwnedKey], digests: Iterable[bytes]) -> OwnedKey | None:
    """Return the key of the first digest that one of ``found`` has."""
    stored = {owned.key.digest: owned for owned in found}
    for digest in digests:
        if digest in stored:
            return stored[digest]
    return None


def _settled(key: Key, digests: Mapping[bytes, str | None]) -> Key:
    """Return the key as it is kept under the pepper in force, so that the older or foreign one can be
    given up one day.

    Its MAC stays what it is: of an older pepper of ours, or none.
    """
    newest, newest_id = next(iter(digests.items()))
    mac_id = key.mac_id if key.imported or key.mac_id else digests[key.digest]
    if (key.digest, key.pepper_id, key.mac_id, key.salted_hash) == (newest, newest_id, mac_id, None):
        return key
    return replace(key, digest=newest, pepper_id=newest_id, mac_id=mac_id, salted_hash=None)
