"""Spans and metrics by OpenTelemetry, of the providers that the program has set, now or later.

A hit makes no span, and is one number more. No attribute names a caller: no credential, key, subject,
address or path is in one, but codes, reasons and kinds, of which there are few, and on spans the request id.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from threading import Lock
from typing import Any
from weakref import ref

from callcov_auth._version import __version__
from callcov_auth.acting import who_acts
from callcov_auth.cache.counted import CountedCache, Tally
from callcov_auth.errors import AuthError
from callcov_auth.events import (
    AuditLost,
    Authenticated,
    CountersLost,
    CountersRestored,
    Event,
    FeedLost,
    FeedRestored,
    KeysFetched,
    KeysLost,
    LastUseLost,
    LoggedIn,
    LoginFailed,
    OnEvent,
    PushLost,
    PushRestored,
    Refused,
    StoreLost,
    StoreRestored,
)

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.trace import Span, StatusCode
except ImportError as error:
    raise ImportError(
        "spans and metrics need OpenTelemetry's API: pip install 'callcov-auth[otel]'"
    ) from error

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
ERROR_TYPE = "error.type"
CODE = "callcov_auth.code"
EVENT = "callcov_auth.event"
KIND = "callcov_auth.kind"
OPERATION = "callcov_auth.operation"
OUTCOME = "callcov_auth.outcome"
PART = "callcov_auth.part"
REASON = "callcov_auth.reason"
REQUEST_ID = "callcov_auth.request_id"

# From a lookup in memory to a login that waits in the queue, in seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# What may be lost for a while and come back.
PARTS = ("feed", "store_reads", "store_writes", "push", "counters", "issuer_keys")
# An app's own refusals may have any text for a reason; past so many different ones, and for what is no name,
# OTHER is told.
MAX_REASONS = 200
OTHER = "_OTHER"
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")

_LOST_OR_BACK: dict[type[Event], tuple[str, bool]] = {
    FeedLost: ("feed", True),
    FeedRestored: ("feed", False),
    StoreLost: ("store", True),
    StoreRestored: ("store", False),
    PushLost: ("push", True),
    PushRestored: ("push", False),
    CountersLost: ("counters", True),
    CountersRestored: ("counters", False),
    KeysLost: ("issuer_keys", True),
    KeysFetched: ("issuer_keys", False),
}

# Both are stand-ins until the program sets its providers. A meter has each instrument once, so all Auths of
# a process share what is below.
_tracer = trace.get_tracer("callcov_auth", __version__)
_meter = metrics.get_meter("callcov_auth", __version__)
_tally = Tally()
_all: "list[ref[Telemetry]]" = []

_duration = _meter.create_histogram(
    "callcov_auth.operation.duration",
    "s",
    "How long work took that is no hit",
    explicit_bucket_boundaries_advisory=BUCKETS,
)


class _Count:
    """A counter that is read when somebody asks. Adding to one of the SDK's takes ten times as long."""

    def __init__(self, name: str, unit: str, description: str) -> None:
        self._counts: Counter[tuple[tuple[str, str], ...]] = Counter()
        self._lock = Lock()
        _meter.create_observable_counter(f"callcov_auth.{name}", [self._observed], unit, description)

    def add(self, amount: int, *attributes: tuple[str, str]) -> None:
        """From any thread. Of ``attributes``, name and value, there are to be few different ones."""
        with self._lock:
            self._counts[attributes] += amount

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            counts = tuple(self._counts.items())
        return [Observation(count, dict(attributes)) for attributes, count in counts]


_events = _Count("events", "{event}", "What happened, by the event's name")
_refusals = _Count("refusals", "{request}", "Requests that were refused")
_logins = _Count("logins", "{login}", "Logins, and those that failed")
_audit_lost = _Count("audit.lost", "{entry}", "Entries of the audit log that could not be written")
_last_use_lost = _Count("last_use.lost", "{key}", "Keys whose last use could not be written")


class Telemetry:
    """The ears and eyes of one Auth. ``timer`` is monotonic, in seconds."""

    def __init__(self, *, timer: Callable[[], float], on_event: OnEvent | None = None) -> None:
        self._timer = timer
        self._on_event = on_event
        self._reasons: set[str] = set()
        # Of a part there may be several: each trusted issuer has keys of its own.
        self._lost: set[tuple[str, str]] = set()
        self._cache: CountedCache | None = None
        _all.append(ref(self, _all.remove))
        for counter in (_audit_lost, _last_use_lost):
            # So that it is there before anything is lost, and an alarm has something to compare with.
            counter.add(0)

    def cache(self, size: int, *, timer: Callable[[], float], hashed: bool) -> CountedCache:
        """Return the Auth's cache of callers."""
        self._cache = CountedCache(size, timer=timer, tally=_tally, hashed=hashed)
        return self._cache

    def store(self, store: Any) -> Any:
        """Return ``store`` with a span for each call that is part of a trace."""
        return _TracedStore(store, self)

    @property
    def entries(self) -> int:
        """How many callers the Auth remembers."""
        return 0 if self._cache is None else len(self._cache)

    def lost(self, part: str) -> int:
        """How many of ``part`` are lost."""
        return sum(name == part for name, _ in tuple(self._lost))

    def hear(self, event: Event) -> None:
        """Count ``event``, and pass it on."""
        _events.add(1, (EVENT, event.name))
        if type(event) in _LOST_OR_BACK:
            self._note_loss(event)
        else:
            self._count(event)
        if self._on_event is not None:
            self._on_event(event)

    def watch(self, operation: str, *, kind: str | None = None) -> "_Work":
        """A Watch."""
        attributes = {} if kind is None else {KIND: kind}
        return _Work(self, operation, attributes, timer=self._timer)

    def tell_failure(self, span: Span, error: BaseException) -> str:
        """Tell a span what ended its work, by name alone, for texts may hold anything; return that name."""
        name = error.code if isinstance(error, AuthError) else type(error).__qualname__
        span.set_attribute(ERROR_TYPE, name)
        if isinstance(error, AuthError):
            span.set_attribute(REASON, self._bounded(error.reason))
        # As in HTTP: who is refused has made a mistake, not the server. A cancellation is nobody's.
        is_ours = isinstance(error, Exception) and getattr(error, "status", 500) >= 500
        if is_ours:
            span.set_status(StatusCode.ERROR)
        return name

    def _count(self, event: Event) -> None:
        match event:
            case Authenticated():
                _tally.verified += 1
            case Refused():
                self._tell_refusal(event)
            case LoggedIn():
                _logins.add(1)
            case LoginFailed():
                _logins.add(1, (ERROR_TYPE, event.reason))
            case AuditLost():
                _audit_lost.add(event.entries)
            case LastUseLost():
                _last_use_lost.add(event.keys)

    def _note_loss(self, event: Event) -> None:
        part, is_lost = _LOST_OR_BACK[type(event)]
        if isinstance(event, StoreLost | StoreRestored):
            part = f"store_{event.lane}"
        name = part, getattr(event, "issuer", "")
        if is_lost:
            self._lost.add(name)
        else:
            self._lost.discard(name)

    def _tell_refusal(self, refused: Refused) -> None:
        reason = self._bounded(refused.reason)
        _refusals.add(1, (ERROR_TYPE, refused.code), (REASON, reason))
        # That of the request, begun by whoever instruments the server, who also says what its error is.
        trace.get_current_span().set_attributes(
            {CODE: refused.code, REASON: reason, REQUEST_ID: refused.request_id}
        )

    def _bounded(self, reason: str) -> str:
        if reason in self._reasons:
            return reason
        if len(self._reasons) >= MAX_REASONS or not _NAME.fullmatch(reason):
            return OTHER
        self._reasons.add(reason)
        return reason


class _Work:
    """What is done within has a span; with a ``timer``, in seconds, it is an operation whose time is told."""

    __slots__ = ("_attributes", "_began", "_name", "_span", "_telemetry", "_timer", "_token")

    _began: float
    _span: Span
    _token: Any

    def __init__(
        self,
        telemetry: Telemetry,
        name: str,
        attributes: dict[str, str],
        *,
        timer: Callable[[], float] | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._name = name
        self._attributes = attributes
        self._timer = timer

    # Not by start_as_current_span, whose generators take as long as all the rest.
    def __enter__(self) -> None:
        if self._timer is not None:
            self._began = self._timer()
        self._span = _tracer.start_span(f"callcov_auth.{self._name}", attributes=self._attributes)
        if self._span.is_recording():
            request_id = who_acts.get()().request_id
            if request_id is not None:
                self._span.set_attribute(REQUEST_ID, request_id)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        attributes = {**self._attributes, OPERATION: self._name}
        if error is not None:
            attributes[ERROR_TYPE] = self._telemetry.tell_failure(self._span, error)
        if self._timer is not None:
            # While the span is the current one, so that an exemplar leads to it.
            _duration.record(self._timer() - self._began, attributes)
        context.detach(self._token)
        self._span.end()


class _TracedStore:
    """Passes everything on to ``store``; a call within a span has one of its own."""

    def __init__(self, store: Any, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            # What is done in the background, once a second and without end, is no part of a trace.
            if not trace.get_current_span().is_recording():
                return await found(*args, **kwargs)
            with _Work(self._telemetry, f"store.{name}", {}):
                return await found(*args, **kwargs)

        # Found without this function from now on.
        self.__dict__[name] = call
        return call


def _alive() -> "list[Telemetry]":
    return [each for known in tuple(_all) if (each := known()) is not None]


def _authentications(_: CallbackOptions) -> Iterable[Observation]:
    yield Observation(_tally.hits, {OUTCOME: "hit"})
    yield Observation(_tally.verified, {OUTCOME: "verified"})


def _entries(_: CallbackOptions) -> Iterable[Observation]:
    yield Observation(sum(each.entries for each in _alive()))


def _losses(_: CallbackOptions) -> Iterable[Observation]:
    alive = _alive()
    for part in PARTS:
        yield Observation(sum(each.lost(part) for each in alive), {PART: part})


_meter.create_observable_counter(
    "callcov_auth.authentications", [_authentications], "{request}", "Callers who were let in"
)
_meter.create_observable_up_down_counter(
    "callcov_auth.cache.entries", [_entries], "{entry}", "Callers who are remembered"
)
_meter.create_observable_up_down_counter("callcov_auth.lost", [_losses], "{part}", "1 while a part is lost")
