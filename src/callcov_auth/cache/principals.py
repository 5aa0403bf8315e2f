"""Verified callers by the bytes of their header, until a bound that each entry carries."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change, Target


@dataclass(frozen=True, slots=True)
class Entry:
    """``until`` is on the monotonic clock, so a step of the wall clock cannot keep an entry alive."""

    principal: Principal
    until: float
    epoch: int


class PrincipalCache:
    """A bounded LRU of header bytes → principal, with an index by key, session and user.

    Used from one event loop and never across an ``await``, so it needs no lock. The bytes themselves are
    the name of an entry: hashing them on each request costs more than the rest of the path, and the server
    holds the same bytes anyway. With ``hashed`` it is their SHA-256, for those who must not hold
    credentials in memory. ``timer`` is monotonic, in seconds.
    """

    # Not cachetools, which is used where time matters less: a hit in its LRUCache takes 1.6 times as long as
    # one here (python -m benchmarks.cache_hit), and its way of dropping entries passes the index by.

    def __init__(self, size: int, *, timer: Callable[[], float], hashed: bool = False) -> None:
        self._size = size
        self._timer = timer
        self._hashed = hashed
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._index: dict[tuple[Target, str], set[bytes]] = {}
        self._epoch = 0
        self.trusted_until = float("-inf")
        """Until when nothing revoked elsewhere can have gone unheard; the feed moves it on."""
        self.version = 0
        """Grows with every forgetting; see ``put``."""
        self.get_by = self._reader()
        """The same as ``get``, for the one ``authorization`` among a request's headers; None for two."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, header: bytes) -> Principal | None:
        """Return the caller who was verified by this header, while that holds."""
        return self.get_by(((b"authorization", header),))

    def _reader(self) -> Callable[[Iterable[tuple[bytes, bytes]]], Principal | None]:
        # On every request's way, so it is one function with its parts bound: a call more, or looking them
        # up by ``self``, can be measured in a request.
        find, touch, timer, hashed = self._entries.get, self._entries.move_to_end, self._timer, self._hashed

        def get_by(headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
            header = None
            for name, value in headers:
                if name == b"authorization":
                    if header is not None:
                        return None
                    header = value
            if header is None:
                return None
            if hashed:
                header = hashlib.sha256(header).digest()
            entry = find(header)
            if entry is None:
                return None
            now = timer()
            if entry.until <= now or entry.epoch != self._epoch:
                self._drop(header)
                return None
            if self.trusted_until <= now:
                return None
            touch(header)
            return entry.principal

        return get_by

    def put(self, header: bytes, principal: Principal, until: float, *, version: int) -> None:
        """Remember ``principal``, unless something was forgotten since ``version`` was read.

        Whoever looks a credential up reads ``version`` first: a revocation that lands between the lookup
        and this call is then not undone by it.
        """
        if version != self.version:
            return
        if self._hashed:
            header = hashlib.sha256(header).digest()
        self._drop(header)
        self._entries[header] = Entry(principal, until, self._epoch)
        for tag in _tags(principal):
            self._index.setdefault(tag, set()).add(header)
        if len(self._entries) > self._size:
            self._drop(next(iter(self._entries)))

    def forget(self, change: Change) -> None:
        """Drop every entry of one key, session or user."""
        self.version += 1
        for header in tuple(self._index.get((change.target, change.id), ())):
            self._drop(header)

    def forget_all(self) -> None:
        """Let every entry end at once. What is left of them makes room as others come."""
        self.version += 1
        self._epoch += 1

    def clear(self) -> None:
        """Forget all, and hold nothing of it in memory."""
        self.forget_all()
        self._entries.clear()
        self._index.clear()

    def _drop(self, header: bytes) -> None:
        entry = self._entries.pop(header, None)
        if entry is None:
            return
        for tag in _tags(entry.principal):
            headers = self._index[tag]
            headers.discard(header)
            if not headers:
                del self._index[tag]


def _tags(principal: Principal) -> Iterator[tuple[Target, str]]:
    if principal.key_id is not None:
        yield "key", principal.key_id
    if principal.session_id is not None:
        yield "session", principal.session_id
    yield "user", principal.subject
