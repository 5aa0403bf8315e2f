"""What happened, as frozen records; they go to the log, and to the function ``on_event`` of the settings.

No field ever holds a credential: ids, codes and reasons name everything. An event is work beside the
answer, so a function that fails is logged and changes nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar

from callcov_auth.acting import who_acts

logger = logging.getLogger("callcov_auth")


@dataclass(frozen=True, slots=True)
class Event:
    name: ClassVar[str]
    level: ClassVar[int] = logging.INFO


OnEvent = Callable[[Event], object]
"""Called with each event, in the process and the thread in which it happened, and never awaited: it is to
return at once. What it raises is logged."""


@dataclass(frozen=True, slots=True)
class Authenticated(Event):
    """A credential was verified anew; whoever is remembered from a moment ago makes no event.

    ``kind`` is ``api_key`` or ``token``.
    """

    name = "authenticated"
    level = logging.DEBUG
    kind: str
    subject: str
    issuer: str
    key_id: str | None
    session_id: str | None


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A request was refused; ``reason`` names the check that did it.

    ``key_id`` and ``owner`` are those of a key that is known, and works no more.
    """

    name = "refused"
    code: str
    reason: str
    request_id: str
    client: str | None
    method: str
    path: str
    key_id: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    name = "logged_in"
    user_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class LoginFailed(Event):
    """``reason`` is ``unknown_email``, ``wrong_password`` or ``user_disabled``."""

    name = "login_failed"
    level = logging.WARNING
    reason: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedOut(Event):
    """``user_id`` is None where only the session's id was given."""

    name = "logged_out"
    session_id: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedOutEverywhere(Event):
    """Every session of a user was ended."""

    name = "logged_out_everywhere"
    user_id: str


@dataclass(frozen=True, slots=True)
class RefreshReused(Event):
    """A refresh token was used again after its grace, so its session was ended: one of two has stolen it."""

    name = "refresh_reused"
    level = logging.WARNING
    user_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class KeyCreated(Event):
    name = "key_created"
    key_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class KeyRotated(Event):
    name = "key_rotated"
    key_id: str
    new_key_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class KeyRevoked(Event):
    name = "key_revoked"
    key_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class UserChanged(Event):
    """``change`` is ``created``, ``password_set``, ``scopes_set``, ``disabled`` or ``enabled``."""

    name = "user_changed"
    user_id: str
    change: str


@dataclass(frozen=True, slots=True)
class FeedLost(Event):
    """The store does not answer the feed: cached principals are taken only while still fresh."""

    name = "feed_lost"
    level = logging.WARNING
    reason: str


@dataclass(frozen=True, slots=True)
class FeedRestored(Event):
    name = "feed_restored"


@dataclass(frozen=True, slots=True)
class StoreLost(Event):
    """The store fails call after call: ``lane`` (``reads`` or ``writes``) is refused, but for probes."""

    name = "store_lost"
    level = logging.WARNING
    lane: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreRestored(Event):
    name = "store_restored"
    lane: str


@dataclass(frozen=True, slots=True)
class PushLost(Event):
    """Redis tells no revocations here: they are found by the poll, within ``revocation_interval``."""

    name = "push_lost"
    level = logging.WARNING
    reason: str


@dataclass(frozen=True, slots=True)
class PushRestored(Event):
    """Redis tells revocations again, and what it did not tell was asked of the store."""

    name = "push_restored"


@dataclass(frozen=True, slots=True)
class PushFailed(Event):
    """A revocation was not told over Redis, nor are those of the next second: the others' polls find them."""

    name = "push_failed"
    level = logging.WARNING
    reason: str


@dataclass(frozen=True, slots=True)
class CountersLost(Event):
    """Redis does not count: each process counts failed logins, refusals and uses of keys by itself."""

    name = "counters_lost"
    level = logging.WARNING
    reason: str


@dataclass(frozen=True, slots=True)
class CountersRestored(Event):
    name = "counters_restored"


@dataclass(frozen=True, slots=True)
class KeysFetched(Event):
    """A trusted issuer's key set came; ``refused`` tells of each key that cannot be used, and why."""

    name = "keys_fetched"
    issuer: str
    keys: int
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeysLost(Event):
    """A trusted issuer's key set cannot be had; the last good one stays in use for a while."""

    name = "keys_lost"
    level = logging.WARNING
    issuer: str
    reason: str


@dataclass(frozen=True, slots=True)
class SigningKeyAdded(Event):
    """One of our own, which others see at once, and which signs from then on (Unix seconds)."""

    name = "signing_key_added"
    kid: str
    alg: str
    signs_from: float


@dataclass(frozen=True, slots=True)
class SigningKeyRetired(Event):
    """It was settled that the key verifies no more from ``retires_at`` on (Unix seconds)."""

    name = "signing_key_retired"
    kid: str
    retires_at: float


@dataclass(frozen=True, slots=True)
class SigningKeyUnreadable(Event):
    """A stored signing key is passed over, so what it signed is refused; ``reason`` tells why."""

    name = "signing_key_unreadable"
    level = logging.WARNING
    kid: str
    reason: str


@dataclass(frozen=True, slots=True)
class LastUseLost(Event):
    """``last_used_at`` of so many keys could not be written."""

    name = "last_use_lost"
    level = logging.WARNING
    keys: int


@dataclass(frozen=True, slots=True)
class AuditLost(Event):
    """So many entries of the audit log could not be written."""

    name = "audit_lost"
    level = logging.WARNING
    entries: int


def is_told(kind: type[Event], on_event: OnEvent | None) -> bool:
    """Whether anybody hears of this kind, for events that cost more to make than what they tell of."""
    return on_event is not None or logger.isEnabledFor(kind.level)


def emit(event: Event, on_event: OnEvent | None = None) -> None:
    """Log ``event`` under the logger ``callcov_auth``, and call ``on_event`` with it.

    The log's record carries it as ``record.event``. ``record.callcov_request_id`` is the ``X-Request-ID`` of
    the request in which it happened; None where none is known.
    """
    if logger.isEnabledFor(event.level):
        _log(event)
    if on_event is not None:
        try:
            on_event(event)
        except Exception:
            logger.exception("on_event failed; event=%s", event.name)


def _log(event: Event) -> None:
    fields = " ".join(f"{name}={value!r}" for name, value in asdict(event).items())
    request_id = event.request_id if isinstance(event, Refused) else who_acts.get()().request_id
    # Not 'request_id', which a record factory of the program's may set: then logging raises KeyError.
    more = {"event": event, "callcov_request_id": request_id}
    logger.log(event.level, "%s %s", event.name, fields, extra=more)
