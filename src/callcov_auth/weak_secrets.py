"""Which secrets are too weak to start with."""

import hashlib
import math
from itertools import pairwise

MIN_BYTES = 32
# Low, for the estimate below is cautious: 32 random hexadecimal digits (128 bits) must pass.
MIN_BITS = 40

# The first 48 bits of SHA-256 of secrets that stand in documentation, RFCs, product defaults and word
# lists, lower-cased. Some of them look random, so that no measure of entropy would find them.
_PUBLISHED_DIGESTS = (
    "03cf6dc15510 04c26261370e 0fa2857e8106 1453cea2dc37 17ffe6e7020c 1ea604f64a8a 234a0395347d "
    "2378d314a98e 2b1fa627178e 2b91081f2ba7 2e18c1212a67 2fcac4d44a2f 3a1f222e17a5 3a6dd7bb7536 "
    "3ba3f5f43b92 3d91d739fc1b 3eb1bd439947 416cf9866e31 45e01209a141 465d9ad5d552 4c7c39324973 "
    "508822107825 51b1f18456bc 53139e68bcef 570dad43de1a 571578a8b91d 6b6604166338 6be230fc6f52 "
    "6feb871e9021 730d21a80e61 77d721c817f9 7c4f4147492b 7db85cb9937a 833f7cd2f872 8f4fd3162700 "
    "90a2e01f3beb 9245a85fed79 97a5444e9ba5 9e3d98cb865e a064b502e61d a38f48c82a1e a427d6795290 "
    "a4cb77b0a31a a59e993b12b8 a5ff35af1ea5 a6408019dec5 ae1f00b9eb07 ba6d13589f07 bc26739c519f "
    "c0b6304bd6ce c1d2e8726375 c83af4eabfbb cc1ed393de7d cd54b27031bb d3397ac5253e da347b0db00a "
    "db6833593279 de3846954e38 ded024165316 df83b3c10a5a e05a7d840abb e1b85b27d6bc e2a4dc095bf0 "
    "e6d65ce2cc3b e8df1a973520 ed3c66e5fb7c ef0afa2933b2 f663d4721dc7 f7756803cad8 f7adbe04af28 "
    "f85acd3532ef fd4dec75abc2"
)
_PUBLISHED = frozenset(_PUBLISHED_DIGESTS.split())

# What a person types where a generated value belongs; all too long to stand in a random value by chance.
_PLACEHOLDERS = ("change", "replace", "secret", "example", "password", "default", "insert", "your-", "your_")


def weakness(secret: str) -> str | None:
    """Return what is wrong with ``secret``, in words that do not show it, or None."""
    if len(secret.encode()) < MIN_BYTES:
        return f"it is shorter than {MIN_BYTES} bytes"
    folded = secret.strip().lower()
    if hashlib.sha256(folded.encode()).hexdigest()[:12] in _PUBLISHED:
        return "it is published, so anybody can look it up"
    if any(word in folded for word in _PLACEHOLDERS):
        return "it reads like a placeholder"
    if estimated_bits(secret) < MIN_BITS:
        return "it repeats itself too much"
    return None


def estimated_bits(secret: str) -> float:
    """Return a cautious estimate of the entropy of ``secret``, in bits.

    A character counts only where it is not foretold: by the one before it (the same, or the next or the
    last in order), or by a pair of characters that stood in the secret already.
    """
    pairs: set[str] = set()
    surprising = 0
    for before, here in pairwise(secret):
        foretold = abs(ord(here) - ord(before)) <= 1 or before + here in pairs
        pairs.add(before + here)
        surprising += not foretold
    return surprising * math.log2(max(len(set(secret)), 2))
