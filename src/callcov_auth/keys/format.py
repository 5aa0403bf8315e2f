"""The grammar of an API key, minting, and the MAC that refuses a forged key offline.

    sk_(live|test)_[segment_]TAIL

TAIL is 42 random characters (250 bits) and 6 of a MAC of all before it, in base 62. Six characters are
35 bits: enough that a mistyped or invented key costs no query, and no secret rests on it, for the store
still looks the whole key up by digest.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 42
PREFIX_LENGTH = 14

_KEY = re.compile(
    r"(?P<signed>sk_(?P<environment>live|test)_(?:(?P<segment>[a-z][a-z0-9]{0,15})_)?[0-9A-Za-z]{42})"
    r"(?P<mac>[0-9A-Za-z]{6})"
)


# All that two digits can say, the lower one first: half as many divisions as one at a time.
_PAIRS = [low + high for high in ALPHABET for low in ALPHABET]


# Not frozen, which would double the time to make one, and one is made for each forged key of a flood.
@dataclass(slots=True)
class KeyForm:
    """What a key's text tells by itself; whether it is genuine, only ``is_genuine`` tells."""

    signed: str = field(repr=False)
    environment: str
    segment: str | None
    mac: str = field(repr=False)

    def is_genuine(self, mac_keys: Iterable[bytes]) -> bool:
        """Whether the key carries the MAC that one of ``mac_keys`` gives."""
        for mac_key in mac_keys:  # noqa: SIM110  # a generator would cost as much as the hash
            if hmac.compare_digest(_mac(mac_key, self.signed), self.mac):
                return True
        return False


def mint(mac_key: bytes, environment: str, segment: str | None = None) -> str:
    """Return a new key. ``environment`` and ``segment`` are expected to fit the grammar."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    signed = f"sk_{environment}_{segment}_{random}" if segment else f"sk_{environment}_{random}"
    return signed + _mac(mac_key, signed)


def read(key: str) -> KeyForm | None:
    """Return what ``key`` tells if it fits the grammar; its MAC is not looked at."""
    match = _KEY.fullmatch(key)
    return None if match is None else KeyForm(*match.groups())


def digest(pepper_key: bytes, key: str) -> bytes:
    """Return what the store keeps of a key: HMAC-SHA256 of the whole of it."""
    hashed = _peppered(pepper_key).copy()
    hashed.update(key.encode("ascii"))
    return hashed.digest()


# Taking the key in is half of the work, for either. A process has one, and those of its previous secrets.
@lru_cache(maxsize=16)
def _peppered(pepper_key: bytes) -> hmac.HMAC:
    return hmac.new(pepper_key, digestmod="sha256")


@lru_cache(maxsize=16)
def _keyed(mac_key: bytes) -> hashlib.blake2b:
    # 64 bits, so that reducing them to 62^6 values favours none by more than one part in 10^8.
    return hashlib.blake2b(digest_size=8, key=mac_key)


def _mac(mac_key: bytes, signed: str) -> str:
    hashed = _keyed(mac_key).copy()
    hashed.update(signed.encode("ascii"))
    raw = hashed.digest()
    number, first = divmod(int.from_bytes(raw), len(_PAIRS))
    number, second = divmod(number, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[second] + _PAIRS[number % len(_PAIRS)]
