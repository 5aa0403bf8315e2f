"""The keyring kept true to the store: loaded at open, now and then, and for a ``kid`` that is not known.

The last may be the key of another process, which rotated a moment ago. A store that does not answer
leaves the keyring as it is; what an unknown ``kid`` means cannot be known then, and is 503.
"""

from collections.abc import Callable, Mapping, Sequence

from anyio import CancelScope, Lock, to_thread

from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import OnEvent, SigningKeyUnreadable, emit
from callcov_auth.store.protocol import SealedKey, Store
from callcov_auth.tokens.jwk import BadKey, VerifyingKey
from callcov_auth.tokens.keyring import Keyring, SigningKey, TimedKey, load_signing_key
from callcov_auth.tokens.sealing import CannotOpen, Seals

# All in seconds.
KEYRING_INTERVAL = 30.0
COOL_DOWN = 3.0

_Seal = tuple[str, bytes]


class StoredKeys:
    """``timer`` is monotonic, in seconds; ``on_loss`` is called when a key is gone that verified."""

    def __init__(
        self,
        keyring: Keyring,
        store: Store,
        seals: Seals,
        *,
        timer: Callable[[], float],
        on_loss: Callable[[], None],
        on_event: OnEvent | None = None,
    ) -> None:
        self.keyring = keyring
        self.seals = seals
        self._store = store
        self._timer = timer
        self._on_loss = on_loss
        self._on_event = on_event
        self._loading = Lock()
        self._asking = Lock()
        self._opened: Mapping[_Seal, SigningKey | None] = {}
        self._due_at = self._asked_at = float("-inf")
        self._lost = False

    async def find(self, kid: object) -> VerifyingKey | None:
        """Return the key that ``kid`` means. Raises AuthUnavailable where only the store could tell."""
        key = self.keyring.find(kid)
        if key is None and isinstance(kid, str):
            await self._ask()
            key = self.keyring.find(kid)
            if key is None and self._lost:
                raise AuthUnavailable(reason="signing_keys_unavailable", retry_after=int(COOL_DOWN))
        return key

    async def refresh(self) -> None:
        """Load the keys if that is due, as well as the store allows."""
        if self._timer() >= self._due_at:
            await self.try_to_load()

    async def try_to_load(self) -> None:
        """Load the keys now; a store that does not answer is asked again soon."""
        # Before the answer: whoever comes meanwhile goes on with the keys that there are.
        self._due_at = self._timer() + COOL_DOWN
        try:
            await self.load()
        except AuthUnavailable:
            self._lost = True

    async def load(self) -> Sequence[SealedKey]:
        """Load the keys now, and return them as they are kept, the newest last. Raises AuthUnavailable."""
        async with self._loading:
            asked_at = self._timer()
            kept = await self._store.signing_keys()
            await self._take(kept)
            self._due_at = asked_at + KEYRING_INTERVAL
            self._lost = False
            return kept

    async def _ask(self) -> None:
        """Load once for all who wait, and then not again for a while.

        Shielded, for a caller who goes away would take the answer from all others until that while is over.
        """
        async with self._asking:
            if self._timer() < self._asked_at + COOL_DOWN:
                return
            self._asked_at = self._timer()
            with CancelScope(shield=True):
                await self.try_to_load()

    async def _take(self, kept: Sequence[SealedKey]) -> None:
        unseen = [row for row in kept if _seal(row) not in self._opened]
        # Off the loop: to read an RSA key takes milliseconds.
        opened, unreadable = await to_thread.run_sync(self._open_all, unseen) if unseen else ({}, [])
        for event in unreadable:
            emit(event, self._on_event)
        known = {**self._opened, **opened}
        self._opened = {_seal(row): known[_seal(row)] for row in kept}
        before = _names(self.keyring)
        self.keyring.take([timed for row in kept if (timed := self._timed(row)) is not None])
        if before - _names(self.keyring):
            self._on_loss()

    def _timed(self, row: SealedKey) -> TimedKey | None:
        key = self._opened[_seal(row)]
        return None if key is None else TimedKey(key, row.signs_from, row.retires_at)

    def _open_all(
        self, rows: Sequence[SealedKey]
    ) -> tuple[dict[_Seal, SigningKey | None], list[SigningKeyUnreadable]]:
        opened: dict[_Seal, SigningKey | None] = {}
        unreadable = []
        for row in rows:
            try:
                opened[_seal(row)] = load_signing_key(self.seals.open(row.kid, row.sealed).decode())
            except (CannotOpen, BadKey) as error:
                opened[_seal(row)] = None
                unreadable.append(SigningKeyUnreadable(row.kid, str(error)))
        return opened, unreadable


def _seal(row: SealedKey) -> _Seal:
    return row.kid, row.sealed


def _names(keyring: Keyring) -> frozenset[str]:
    return frozenset(timed.key.kid for timed in keyring.timed)
