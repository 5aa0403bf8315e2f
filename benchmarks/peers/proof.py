"""That a subject lets its caller in, and nobody else: before its time is taken for that of authentication."""

import base64
import json

from starlette.types import ASGIApp, Message

from benchmarks.harness.requests import Exchange, scope_of
from benchmarks.peers.subject import Headers, Subject

# Starlette's own middleware refuses with 400, authx refuses a broken token with 422.
REFUSALS = frozenset({400, 401, 403, 422})
UNSIGNED = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")


class NotProven(RuntimeError):
    """A subject refused its own caller, or let somebody else in."""


class Recorded(Exchange):
    """An exchange that keeps the body of the answer."""

    __slots__ = ("body",)

    def __init__(self) -> None:
        super().__init__()
        self.body = b""

    async def send(self, message: Message) -> None:
        self.body += message.get("body", b"")
        await super().send(message)


async def prove(subject: Subject) -> None:
    """Ask with the right credential, with none, with wrong ones, and with the right one again.

    The right one has to be answered as the bare app answers it; a peer whose endpoint says who called is
    thereby shown to know. Raises NotProven.
    """
    await _prove_let_in(subject)
    for number, headers in enumerate(wrong_headers(subject.headers())):
        await _prove_refused(subject, headers, number)
    await _prove_let_in(subject)


def wrong_headers(headers: Headers) -> list[Headers]:
    """Return no header, and the header with a letter changed, with its end cut off, and unsigned."""
    ((name, value),) = headers
    before, space, credential = value.rpartition(b" ")
    wrong = [_changed(credential), credential[:-12], _unsigned(credential)]
    return [[], *([(name, before + space + each)] for each in wrong)]


def _changed(credential: bytes) -> bytes:
    # Not the last letter: some of its bits may stand for nothing in base64.
    letter = b"B" if credential[-8:-7] == b"A" else b"A"
    return credential[:-8] + letter + credential[-7:]


def _unsigned(credential: bytes) -> bytes:
    parts = credential.split(b".")
    return b".".join([UNSIGNED, parts[1], b""]) if len(parts) == 3 else b"none"


async def _prove_let_in(subject: Subject) -> None:
    bare = await _asked(subject.bare, [])
    found = await _asked(subject.app, subject.headers())
    if found.status != 200 or json.loads(found.body) != json.loads(bare.body):
        raise NotProven(f"{_called(subject)}: its own caller is answered {found.status}")


async def _prove_refused(subject: Subject, headers: Headers, number: int) -> None:
    found = await _asked(subject.app, headers)
    if found.status not in REFUSALS:
        raise NotProven(f"{_called(subject)}: wrong credential {number} is answered {found.status}")


async def _asked(app: ASGIApp, headers: Headers) -> Recorded:
    exchange = Recorded()
    await app(scope_of(headers), exchange.receive, exchange.send)
    return exchange


def _called(subject: Subject) -> str:
    return f"{subject.name}, {'tuned' if subject.tuned else 'as documented'}"
