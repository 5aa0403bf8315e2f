"""Verified callers by the bytes of their header, until a bound that each entry carries."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change, Target


@dataclass(slots=True)
class Epoch:
    """What the entries have in common that were made since all were last forgotten.

    Until ``trusted_until``, nothing revoked elsewhere can have gone unheard; the feed moves it on.
    """

    trusted_until: float


# Not frozen, which would double the time to make one, and a lookup waits for it.
@dataclass(slots=True)
class Entry:
    """A caller, good before ``until`` and before ``epoch.trusted_until``.

    Both are on the monotonic clock, so a step of the wall clock cannot keep an entry alive.
    """

    principal: Principal
    until: float
    epoch: Epoch


class PrincipalCache:
    """A bounded LRU of header bytes → principal, with an index by key, session and user.

    Used from one event loop and never across an ``await``, so it needs no lock. The bytes themselves are
    the name of an entry: hashing them on each request costs more than the rest of the path, and the server
    holds the same bytes anyway. With ``hashed`` it is their SHA-256, for those who must not hold
    credentials in memory. ``timer`` is monotonic, in seconds.
    """

    # Not cachetools, which is used where time matters less: a hit in its LRUCache takes 1.2 times as long as
    # get here (python -m benchmarks.cache_hit), and its way of dropping entries passes the index by.

    def __init__(self, size: int, *, timer: Callable[[], float], hashed: bool = False) -> None:
        self._size = size
        self._hashed = hashed
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._index: dict[tuple[Target, str], set[bytes]] = {}
        self._epoch = Epoch(float("-inf"))
        self.version = 0
        """Grows with every forgetting; see ``put``."""
        self.keeps_order = False
        """Whether a hit moves its entry to the end: from half full on. Before, none is near to being dropped,
        and which were used last will be another question when one is."""
        # The parts of ``get``, for AuthMiddleware, which has them in its own path.
        self.timer = timer
        self.find = self._entries.get
        self.touch: Callable[[bytes], None] = self._entries.move_to_end

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def trusted_until(self) -> float:
        """Until when what is remembered may be used, on the timer."""
        return self._epoch.trusted_until

    @trusted_until.setter
    def trusted_until(self, until: float) -> None:
        self._epoch.trusted_until = until

    def get(self, header: bytes) -> Principal | None:
        """Return the caller who was verified by this header, while that holds."""
        name = self._name(header)
        entry = self.find(name)
        if entry is None:
            return None
        now = self.timer()
        if now < entry.until and now < entry.epoch.trusted_until:
            if self.keeps_order:
                self.touch(name)
            return entry.principal
        if entry.until <= now or entry.epoch is not self._epoch:
            self._drop([name])
        return None

    def holds(self, header: bytes) -> bool:
        """Whether this header's caller was verified, and nobody needed its room since; it may have ended."""
        return self._name(header) in self._entries

    def put(self, header: bytes, principal: Principal, until: float, *, version: int) -> None:
        """Remember ``principal``, unless something was forgotten since ``version`` was read.

        Whoever looks a credential up reads ``version`` first: a revocation that lands between the lookup
        and this call is then not undone by it.
        """
        if version != self.version:
            return
        name = self._name(header)
        self._remove(name)
        self._entries[name] = Entry(principal, until, self._epoch)
        for tag in _tags(principal):
            self._index.setdefault(tag, set()).add(name)
        if len(self._entries) > self._size:
            self._remove(next(iter(self._entries)))
        self._weigh()

    def forget(self, change: Change) -> None:
        """Drop every entry of one key, session or user."""
        self.version += 1
        self._drop(tuple(self._index.get((change.target, change.id), ())))

    def forget_all(self) -> None:
        """Let every entry end at once. What is left of them makes room as others come."""
        self.version += 1
        ended, self._epoch = self._epoch, Epoch(self._epoch.trusted_until)
        ended.trusted_until = float("-inf")

    def clear(self) -> None:
        """Forget all, and hold nothing of it in memory."""
        self.forget_all()
        self._entries.clear()
        self._index.clear()
        self._weigh()

    def _name(self, header: bytes) -> bytes:
        return hashlib.sha256(header).digest() if self._hashed else header

    def _drop(self, names: Iterable[bytes]) -> None:
        for name in names:
            self._remove(name)
        self._weigh()

    def _remove(self, name: bytes) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        for tag in _tags(entry.principal):
            names = self._index[tag]
            names.discard(name)
            if not names:
                del self._index[tag]

    def _weigh(self) -> None:
        self.keeps_order = 2 * len(self._entries) >= self._size


def _tags(principal: Principal) -> list[tuple[Target, str]]:
    tags: list[tuple[Target, str]] = [("user", principal.subject)]
    if principal.key_id is not None:
        tags.append(("key", principal.key_id))
    if principal.session_id is not None:
        tags.append(("session", principal.session_id))
    return tags
