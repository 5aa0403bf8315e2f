"""Verified callers by the bytes of their header, until a bound that each entry carries."""

from collections.abc import Iterator
from dataclasses import dataclass

from cachetools import LRUCache

from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change, Target


@dataclass(frozen=True, slots=True)
class Entry:
    """``until`` is on the monotonic clock, so a step of the wall clock cannot keep an entry alive."""

    principal: Principal
    until: float


class PrincipalCache:
    """A bounded LRU of header bytes → principal, with an index by key, session and user.

    Used from one event loop and never across an ``await``, so it needs no lock. The bytes themselves are
    the key: hashing them on each request costs more than the rest of the path, and the server holds the
    same bytes anyway.
    """

    def __init__(self, size: int) -> None:
        self._entries = _IndexedLRU(size)
        self.version = 0
        """Grows with every forgetting; see ``put``."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, header: bytes, now: float) -> Principal | None:
        entry = self._entries.get(header)
        if entry is None:
            return None
        if entry.until > now:
            return entry.principal
        del self._entries[header]
        return None

    def put(self, header: bytes, principal: Principal, until: float, *, version: int) -> None:
        """Remember ``principal``, unless something was forgotten since ``version`` was read.

        Whoever looks a credential up reads ``version`` first: a revocation that lands between the lookup
        and this call is then not undone by it.
        """
        if version == self.version:
            self._entries[header] = Entry(principal, until)

    def forget(self, change: Change) -> None:
        """Drop every entry of one key, session or user."""
        self.version += 1
        for header in self._entries.headers_of(change.target, change.id):
            del self._entries[header]

    def clear(self) -> None:
        self.version += 1
        # A new one, because cachetools' own clear passes the index by.
        self._entries = _IndexedLRU(int(self._entries.maxsize))


class _IndexedLRU(LRUCache[bytes, Entry]):
    """cachetools' LRU; whichever way an entry leaves, the index forgets it too."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._index: dict[tuple[Target, str], set[bytes]] = {}

    def headers_of(self, target: Target, name: str) -> tuple[bytes, ...]:
        return tuple(self._index.get((target, name), ()))

    def __setitem__(self, header: bytes, entry: Entry) -> None:
        if header in self:
            del self[header]
        super().__setitem__(header, entry)
        for tag in _tags(entry.principal):
            self._index.setdefault(tag, set()).add(header)

    def __delitem__(self, header: bytes) -> None:
        for tag in _tags(self[header].principal):
            headers = self._index[tag]
            headers.discard(header)
            if not headers:
                del self._index[tag]
        super().__delitem__(header)


def _tags(principal: Principal) -> Iterator[tuple[Target, str]]:
    if principal.key_id is not None:
        yield "key", principal.key_id
    if principal.session_id is not None:
        yield "session", principal.session_id
    yield "user", principal.subject
