"""The leak scan: every secret that a run made, searched for in everything that the run showed.

A LeakScan collects both sides and compares them at the end, for a secret may have been shown before it
was known as one. It holds secrets, so nothing of it is ever printed but kinds, places and counts.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import callcov_auth

# What is shorter, in bytes, or of fewer different characters, stands anywhere by chance.
SHORTEST = 8
FEWEST_CHARACTERS = 5

# Written the same way everywhere; nearly every secret is.
_SAFE = re.compile(r"[A-Za-z0-9._~-]+")
# Secrets of other processes are known by their form alone.
_FORMS = {
    "something like an API key": re.compile(
        rb"sk_(?:live|test)_(?:[a-z][a-z0-9]{0,15}_)?[0-9A-Za-z]{48}(?![0-9A-Za-z])"
    ),
    "something like a token": re.compile(rb"eyJ[\w-]{16,}\.eyJ[\w-]{16,}\.[\w-]{32,}"),
}


@dataclass(frozen=True, slots=True)
class Leak:
    """A kind of secret that was found in a kind of place; ``test`` is the one that ran."""

    kind: str
    place: str
    test: str


class LeakScan:
    def __init__(self) -> None:
        self._secrets: dict[bytes, str] = {}
        self._texts: dict[bytes, tuple[str, str]] = {}
        self.test = "no test"

    def secret(self, kind: str, value: str | bytes) -> None:
        """Remember a secret, in every form in which it might be shown."""
        if _can_be_told(value):
            for form in _forms(value):
                self._secrets.setdefault(form, kind)

    def text(self, place: str, shown: str | bytes) -> None:
        """Remember what was shown to somebody, or kept."""
        raw = shown.encode("utf-8", "backslashreplace") if isinstance(shown, str) else shown
        self._texts.setdefault(raw, (place, self.test))

    def leaks(self) -> list[Leak]:
        """Return each kind of secret that was found, once for each place and test."""
        by_end: dict[bytes, list[bytes]] = {}
        for secret in self._secrets:
            by_end.setdefault(secret[-SHORTEST:], []).append(secret)
        found: dict[Leak, None] = {}
        for text, (place, test) in self._texts.items():
            for kind in (*self._known(text, by_end), *_alike(text)):
                found[Leak(kind, place, test)] = None
        return list(found)

    def counts(self) -> str:
        size = sum(map(len, self._texts)) / 1e6
        return f"{len(self._secrets)} secrets, {len(self._texts)} texts ({size:.1f} MB)"

    def _known(self, text: bytes, by_end: dict[bytes, list[bytes]]) -> Iterator[str]:
        # One dict lookup for each position, however many secrets there are.
        for end in range(SHORTEST, len(text) + 1):
            for secret in by_end.get(text[end - SHORTEST : end], ()):
                if text.endswith(secret, 0, end) and secret not in _own_words():
                    yield self._secrets[secret]


def _alike(text: bytes) -> Iterator[str]:
    return (kind for kind, form in _FORMS.items() if form.search(text))


def _can_be_told(value: str | bytes) -> bool:
    return len(value) >= SHORTEST and len(set(value)) >= FEWEST_CHARACTERS


@cache
def _own_words() -> bytes:
    """The package's own text: a test's password may be a word of it, such as 'password'."""
    folder = Path(callcov_auth.__file__).parent
    return b"\n".join(file.read_bytes() for file in sorted(folder.rglob("*.py")))


def _forms(value: str | bytes) -> set[bytes]:
    if isinstance(value, bytes):
        return {
            value,
            value.hex().encode(),
            repr(value)[2:-1].encode(),
            urlsafe_b64encode(value).rstrip(b"="),
        }
    if _SAFE.fullmatch(value):
        return {value.encode()}
    texts = {value, repr(value)[1:-1], json.dumps(value)[1:-1]}
    encodable = value.encode("utf-8", "backslashreplace")
    return {text.encode("utf-8", "backslashreplace") for text in texts} | {quote(encodable).encode()}
