"""Login, without any I/O: which exchange with the server comes next, and what its answer means.

``Login.renew`` is a generator that asks for a step at a time. Each HTTP library has a driver that does the
steps in its own way, so that all that is decided is decided here, once.
"""

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any

from callcov_auth.client.errors import LoginFailed
from callcov_auth.client.keys import B64TOKEN

# A token is renewed so long before its end, in seconds, and a shorter one a tenth of its life before.
EARLY = 300.0
LONG_LIFE = 1800.0
# How often the server is asked before a request fails, and how long, in seconds, one waits in between.
TRIES = 3
LONGEST_PAUSE = 30.0
# For how long, in seconds, a server that refused is not asked again.
DEFAULT_PAUSE = 1.0
AFTER_REFUSAL = 30.0
LONGEST_SILENCE = 3600.0
LARGEST_ANSWER = 64 * 1024

_REFUSED = frozenset({400, 401, 403, 422})
_LATER = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Exchange:
    """A POST of ``content``, which is JSON and holds a secret."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


Steps = Generator[Exchange | Pause, Any, str]


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What the server gave last. ``due`` and ``ends`` are times of the timer."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    due: float
    ends: float


class Login:
    """The tokens of one user. Only ``fresh`` and ``forget`` may be called by many at once."""

    __slots__ = ("_email", "_failure", "_password", "_silent_until", "_timer", "_tokens", "_was_cut_short")

    def __init__(self, email: str, password: str, timer: Callable[[], float]) -> None:
        self._email, self._password = email, password
        self._timer = timer
        self._tokens: _Tokens | None = None
        self._silent_until = -inf
        self._failure: LoginFailed | None = None
        self._was_cut_short = False

    def fresh(self) -> str | None:
        """Return the access token while it is not due to be renewed."""
        tokens, now = self._tokens, self._timer()
        if tokens is None or now >= tokens.ends:
            return None
        # A server that asked for patience gets it while the token lasts.
        return tokens.access if now < tokens.due or now < self._silent_until else None

    def alive(self) -> str | None:
        """Return the access token while it has not ended, due or not."""
        tokens = self._tokens
        return tokens.access if tokens is not None and self._timer() < tokens.ends else None

    def forget(self, access: str) -> None:
        """Take ``access``, if it is still the newest, for one that ended: the server said so."""
        tokens = self._tokens
        if tokens is not None and tokens.access == access:
            self._tokens = _Tokens(tokens.access, tokens.refresh, due=-inf, ends=-inf)

    def renew(self) -> Steps:
        """Return a fresh access token, from the server where there is none. Raises LoginFailed."""
        if (access := self.fresh()) is not None:
            return access
        if self._failure is not None and self._timer() < self._silent_until:
            raise self._failure.again()
        tries = TRIES
        while True:
            began = self._timer()
            answer = yield from self._ask()
            if answer.status == 200:
                return self._keep(answer, began)
            pause = _pause_of(answer)
            if (access := self.alive()) is not None:
                self._be_silent(AFTER_REFUSAL if pause is None else pause)
                return access
            tries -= 1
            if pause is None or pause > LONGEST_PAUSE or not tries:
                raise self._failed(answer, pause)
            yield Pause(pause)

    def _ask(self) -> Generator[Exchange, Answer, Answer]:
        """Refresh, or log in where there is nothing to refresh by or the server will have none of it."""
        if self._tokens is not None:
            answer = yield from self._refresh(self._tokens)
            if answer.status not in _REFUSED:
                return answer
            self._tokens = None
        return (yield _exchange("/auth/login", email=self._email, password=self._password))

    def _refresh(self, tokens: _Tokens) -> Generator[Exchange, Answer, Answer]:
        try:
            return (yield _exchange("/auth/refresh", refresh_token=tokens.refresh))
        except GeneratorExit:
            # The network failed, or a hook of the client's raised what it thought of the answer. Where that
            # happens again, a login may get further.
            if self._was_cut_short:
                self._tokens = None
            self._was_cut_short = True
            raise

    def _keep(self, answer: Answer, began: float) -> str:
        match content_of(answer.body):
            case {
                "access_token": str() as access,
                "refresh_token": str() as refresh,
                "expires_in": (int() | float()) as life,
            } if B64TOKEN.fullmatch(access) and 0 < life < inf:
                # From before it was asked for, since the server counts from no earlier.
                early = EARLY if life >= LONG_LIFE else life / 10
                self._tokens = _Tokens(access, refresh, due=began + life - early, ends=began + life)
                self._failure, self._silent_until, self._was_cut_short = None, -inf, False
                return access
        raise LoginFailed("the server's answer holds no tokens", status=answer.status)

    def _be_silent(self, seconds: float) -> None:
        self._silent_until = self._timer() + min(seconds, LONGEST_SILENCE)

    def _failed(self, answer: Answer, pause: float | None) -> LoginFailed:
        code = code_of(answer.body)
        self._failure = LoginFailed(
            f"the server refused the login: {code or answer.status}",
            code=code,
            status=answer.status,
            retry_after=pause,
        )
        self._be_silent(AFTER_REFUSAL if pause is None else pause)
        return self._failure.again()


def content_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that ``body`` is; an empty one where it is something else."""
    if len(body) > LARGEST_ANSWER:
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def code_of(body: bytes) -> str | None:
    """Return a refusal's code, in CallCov's form or as problem details."""
    content = content_of(body)
    error = content.get("error")
    code = error.get("code") if isinstance(error, dict) else content.get("code")
    # What else a server might send is kept out of exceptions and logs.
    return code if isinstance(code, str) and code.isidentifier() and len(code) <= 64 else None


def _exchange(path: str, **content: str) -> Exchange:
    return Exchange(path, json.dumps(content).encode())


def _pause_of(answer: Answer) -> float | None:
    """Return how long to wait before the next try (RFC 9110 §10.2.3); None where waiting would not help."""
    if answer.status not in _LATER:
        return None
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return DEFAULT_PAUSE
