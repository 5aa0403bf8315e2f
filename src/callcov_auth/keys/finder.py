"""Our keys in bytes of any kind: found by their form, and told from all that looks alike by their MAC."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from callcov_auth.keys import format as key_format

# What follows the environment stands in a lookahead: nothing that looks like a key can so hide the one that
# starts in its last characters.
_KEY = re.compile(rb"sk_(?:live|test)_(?=((?:[a-z][a-z0-9]{0,15}_)?[0-9A-Za-z]{48}))")
# The same in UTF-16, as PowerShell writes files, whichever byte of a character comes first.
_WIDE_KEY = re.compile(
    rb"s\0k\0_\0(?:l\0i\0v\0e\0|t\0e\0s\0t\0)_\0"
    rb"(?=((?:[a-z]\0(?:[a-z0-9]\0){0,15}_\0)?(?:[0-9A-Za-z]\0){47}[0-9A-Za-z]))"
)
_LONGEST = len("sk_live_") + 16 + len("_") + 48
# How many bytes from a key's first one on bear on it: its own, and the character after it.
REACH = 2 * (_LONGEST + 1)

# Far more than a key in a text that is shown, for one may start within another.
_SHOWN = re.compile(r"(sk_(?:live|test)_[0-9A-Za-z_]{6})[0-9A-Za-z_]{42,}")


@dataclass(frozen=True, slots=True)
class Find:
    """What looks like a key of ours. ``genuine`` is None where no secret is at hand to tell by."""

    line: int
    text: str = field(repr=False)
    genuine: bool | None

    @property
    def prefix(self) -> str:
        """The part of the key that may be shown."""
        return self.text[: key_format.PREFIX_LENGTH]


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: int
    text: str = field(repr=False)
    goes_on: bool
    """Whether a letter or a digit follows, so that it may be the start of another service's longer key."""


class Finder:
    """Takes one file's bytes as they come; a key across two pieces is found all the same.

    Without ``mac_keys`` whatever has the form of a key is found.
    """

    def __init__(self, mac_keys: Sequence[bytes]) -> None:
        self._mac_keys = mac_keys
        self._kept = b""
        self._line = 1

    def feed(self, piece: bytes) -> list[Find]:
        """Return what is found up to where ``piece`` may cut a key short."""
        window = self._kept + piece if self._kept else piece
        return self._take(window, max(0, len(window) - REACH))

    def finish(self) -> list[Find]:
        """Return what is found at the end."""
        return self._take(self._kept, len(self._kept))

    def _take(self, window: bytes, end: int) -> list[Find]:
        """Return what starts before ``end``, and keep what comes after."""
        finds, counted = [], 0
        for candidate in sorted(_candidates(window, end), key=lambda candidate: candidate.start):
            self._line += window.count(b"\n", counted, candidate.start)
            counted = candidate.start
            genuine = self._is_genuine(candidate.text)
            if genuine or not candidate.goes_on:
                finds.append(Find(self._line, candidate.text, genuine))
        self._line += window.count(b"\n", counted, end)
        self._kept = window[end:]
        return finds

    def _is_genuine(self, text: str) -> bool | None:
        form = key_format.read(text)
        return form.is_genuine(self._mac_keys) if form and self._mac_keys else None


def finds_in(whole: bytes, mac_keys: Sequence[bytes]) -> list[Find]:
    """Return what is found in bytes that are all there."""
    finder = Finder(mac_keys)
    return [*finder.feed(whole), *finder.finish()]


def redacted(text: str) -> str:
    """Return ``text`` with every key in it cut to the part that may be shown."""
    return _SHOWN.sub(r"\1…", text)


def _candidates(window: bytes, end: int) -> Iterator[_Candidate]:
    for pattern, width in ((_KEY, 1), (_WIDE_KEY, 2)):
        for match in pattern.finditer(window):
            if match.start() >= end:
                break
            text = window[match.start() : match.end(1) : width].decode("ascii")
            after = match.end(1) + width - 1
            yield _Candidate(match.start(), text, window[after : after + 1].isalnum())
