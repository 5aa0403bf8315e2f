"""The audit log: who did what to which key, when, and from where, written in batches beside the answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import anyio

from callcov_auth.acting import Acting, who_acts
from callcov_auth.age import DAY
from callcov_auth.chores import attempt
from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import (
    AuditLost,
    Authenticated,
    Event,
    KeyCreated,
    KeyRevoked,
    KeyRotated,
    LoggedIn,
    LoggedOut,
    LoggedOutEverywhere,
    LoginFailed,
    OnEvent,
    RefreshReused,
    Refused,
    SigningKeyAdded,
    SigningKeyRetired,
    UserChanged,
    emit,
)
from callcov_auth.principal import Principal, principal_in_context
from callcov_auth.store.protocol import MAX_AUDITED_NAME, AuditEntry, AuditStore
from callcov_auth.threads import Threads

AUDITED: frozenset[type[Event]] = frozenset(
    {
        *(Authenticated, Refused),
        *(LoggedIn, LoginFailed, LoggedOut, LoggedOutEverywhere, RefreshReused),
        *(KeyCreated, KeyRotated, KeyRevoked, UserChanged),
        *(SigningKeyAdded, SigningKeyRetired),
        AuditLost,
    }
)
# How many entries may wait for the database.
MAX_PENDING = 10_000
# How many are written, or deleted, in one transaction.
BATCH = 1000
# How often is written and how often is looked for what is too old, in seconds.
PERIOD = 1.0
PRUNE_PERIOD = 60.0
# How long a write may take until it counts as failed, in seconds.
WRITE_TIMEOUT = 10.0
# A refused key that is tried again and again from one address makes one entry in so many seconds.
REFUSED_PERIOD = 60.0
MAX_REFUSED = 4096

_FIELDS = {kind: [field.name for field in fields(kind)] for kind in AUDITED}
# The fields of events that have a place of their own in an entry; the rest is its detail.
_SUBJECTS = ("subject", "user_id", "owner")


class AuditLog:
    """Takes events and writes them. A store that is down delays them; past a bound they are lost.

    ``issuer`` is our own, whose users need not be told apart from others'. ``timer`` is monotonic.
    """

    def __init__(
        self,
        store: AuditStore,
        *,
        issuer: str,
        days: int,
        clock: Callable[[], float],
        timer: Callable[[], float],
        on_event: OnEvent | None = None,
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._kept = days * DAY
        self._clock = clock
        self._timer = timer
        self._on_event = on_event
        self._pending: list[_Noted] = []
        # The batch that is written next, or again.
        self._ready: list[AuditEntry] = []
        # Of its own, for making entries takes longer than the loop has to spare.
        self._threads = Threads(1, "audit")
        self._writing = anyio.Lock()
        self._is_noted: anyio.Event | None = None
        self._is_full: anyio.Event | None = None
        self._prune_at = float("-inf")
        # Until when another refusal of the same tells nothing new, in the order of these times.
        self._refused: dict[tuple[str | None, str | None, str], float] = {}
        self._lost = 0

    def hear(self, event: Event) -> None:
        """Note ``event`` where it is for the audit log, and pass it on: what Auth gives as ``on_event``."""
        if type(event) in AUDITED:
            self._note(event)
        if self._on_event is not None:
            self._on_event(event)

    async def keep_writing(self) -> None:
        """Write a second after something was noted, and as soon as there is a batch."""
        while True:
            self._is_noted, self._is_full = anyio.Event(), anyio.Event()
            if not self._pending and not self._ready:
                await self._is_noted.wait()
            with anyio.move_on_after(PERIOD):
                await self._is_full.wait()
            await attempt(self.flush)

    async def flush(self) -> None:
        """Write what is there. Where the store is down, it waits for the next time."""
        async with self._writing:
            while await self._is_ready() and await self._write(self._ready):
                self._ready = []
                self._tell_losses()

    async def prune(self) -> None:
        """Delete a batch of entries that are too old, now and then; at each call while there are more."""
        now = self._timer()
        if now < self._prune_at:
            return
        before = self._clock() - self._kept
        try:
            deleted = await self._store.delete_audit_entries(before, limit=BATCH)
        except AuthUnavailable:
            return
        if deleted < BATCH:
            self._prune_at = now + PRUNE_PERIOD

    def give_up(self) -> None:
        """Count what could not be written; called once, when nothing will be written any more."""
        self._lost += len(self._pending) + len(self._ready)
        self._pending.clear()
        self._ready = []
        self._tell_losses()

    async def _is_ready(self) -> bool:
        """Make a batch's entries, unless one is left that could not be written; whether there is any."""
        noted = self._pending[:BATCH]
        if noted and not self._ready:
            self._ready = await self._threads.run(partial(_entries, noted, self._issuer))
            # More may have come meanwhile.
            del self._pending[: len(noted)]
        return bool(self._ready)

    async def _write(self, batch: list[AuditEntry]) -> bool:
        # Shielded, for a write that has begun happens, and would be done twice if it were forgotten.
        with anyio.move_on_after(WRITE_TIMEOUT, shield=True):
            try:
                await self._store.add_audit_entries(batch)
            except AuthUnavailable:
                return False
            return True
        return False

    def _note(self, event: Event) -> None:
        if isinstance(event, Refused) and not self._is_news(event):
            return
        if len(self._pending) + len(self._ready) >= MAX_PENDING:
            self._lost += 1
            return
        self._pending.append(_Noted(event, self._clock(), who_acts.get()(), principal_in_context.get(None)))
        if self._is_noted is not None:
            self._is_noted.set()
        if len(self._pending) == BATCH and self._is_full is not None:
            self._is_full.set()

    def _is_news(self, refused: Refused) -> bool:
        """Whether it was a known key, and none that was just refused to the same address."""
        if refused.key_id is None:
            return False
        now, name = self._timer(), (refused.key_id, refused.client, refused.reason)
        if now < self._refused.get(name, now):
            return False
        self._refused.pop(name, None)
        self._refused[name] = now + REFUSED_PERIOD
        if len(self._refused) > MAX_REFUSED:
            del self._refused[next(iter(self._refused))]
        return True

    def _tell_losses(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            # It is noted too, so that whoever reads the log sees where it has a gap.
            emit(AuditLost(lost), self.hear)


# Not frozen, which would double the time to make one, and a lookup waits for it.
@dataclass(slots=True)
class _Noted:
    """An event, when it was, who acted, and whose request ran: all that is gone a moment later."""

    event: Event
    at: float
    who: Acting
    caller: Principal | None


def _entries(noted: list[_Noted], issuer: str) -> list[AuditEntry]:
    return [entry_of(each, issuer) for each in noted]


def entry_of(noted: _Noted, issuer: str) -> AuditEntry:
    """Return an event as it is kept. What it says of itself goes before what is known of who acts."""
    event, who = noted.event, noted.who
    said = {name: getattr(event, name) for name in _FIELDS[type(event)]}
    subject = next((said.pop(name) for name in _SUBJECTS if name in said), None)
    if isinstance(event, Authenticated):
        subject = _named(event.subject, event.issuer, issuer)
        said |= {name: value for name in ("method", "path") if (value := getattr(who, name)) is not None}
    key_id, session_id = said.pop("key_id", None), said.pop("session_id", None)
    client, request_id = said.pop("client", who.client), said.pop("request_id", who.request_id)
    actor = who.actor or _own_actor(event, subject) or _caller(noted.caller, issuer)
    if isinstance(event, LoggedOut):
        # A session that was named by its id alone is the caller's own.
        subject = subject or actor
    return AuditEntry(
        at=noted.at,
        event=event.name,
        actor=_kept(actor),
        subject=_kept(subject),
        key_id=key_id,
        session_id=_kept(session_id),
        client=client,
        request_id=request_id,
        # In ASCII, so that every database takes it, whatever a path holds.
        detail=json.dumps(said),
    )


def actor_of(principal: Principal, issuer: str) -> str | None:
    """Return how the audit log names a caller; None for nobody in particular."""
    if principal.key_id is not None:
        return f"key:{principal.key_id}"
    return _named(principal.subject, principal.issuer, issuer) if principal.is_authenticated else None


def _own_actor(event: Event, subject: str | None) -> str | None:
    """Return who acts where the event itself proves it: a credential that was verified."""
    if isinstance(event, Authenticated | Refused) and event.key_id is not None:
        return f"key:{event.key_id}"
    return subject if isinstance(event, Authenticated | LoggedIn) else None


def _caller(principal: Principal | None, issuer: str) -> str | None:
    """Return whose request it was: an app's own endpoint may have called a service."""
    return None if principal is None else actor_of(principal, issuer)


def _named(subject: str, issuer: str, own_issuer: str) -> str:
    # Another issuer's subject may have the same name as a user of ours.
    return subject if issuer == own_issuer else f"{issuer} {subject}"


def _kept(name: str | None) -> str | None:
    """Return what every database can hold of a name that another issuer gave."""
    if name is None:
        return None
    plain = name.replace("\0", "").encode("utf-8", "replace").decode()
    return plain[:MAX_AUDITED_NAME]
