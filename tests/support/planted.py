"""Keys to plant, and what looks like them and is none."""

import random
import string

from callcov_auth.keys import format as key_format
from callcov_auth.keys.format import ALPHABET

LETTERS = string.ascii_letters + string.digits


def minted(mac_key: bytes, number: int) -> list[str]:
    """Keys of both environments, with segments and without."""
    kinds = [("live", None), ("test", None), ("live", "dev"), ("test", "s" + "0" * 15)]
    return [key_format.mint(mac_key, *kinds[at % len(kinds)]) for at in range(number)]


def near_misses(key: str, chance: random.Random) -> list[str]:
    """The key mistyped, cut short, of another alphabet, of another case, and of another environment."""
    at = chance.randrange(len(key) - 48, len(key))
    other = chance.choice([letter for letter in ALPHABET if letter != key[at]])
    swapped = key[:-48] + key[-48:].swapcase()
    environment = key.replace("_live_", "_prod_").replace("_test_", "_prod_")
    return [
        key[:at] + other + key[at + 1 :],
        key[:-1],
        key[: at - 1] + "-" + key[at:],
        swapped,
        environment,
    ]


def of_other_services(chance: random.Random) -> list[str]:
    """Keys in the form of Stripe's, GitHub's and AWS's."""

    def run(length: int, letters: str = LETTERS) -> str:
        return "".join(chance.choices(letters, k=length))

    return [
        "sk_live_" + run(24),
        "sk_test_51" + run(97),
        "sk_live_" + run(48),
        "rk_live_" + run(48),
        "ghp_" + run(36),
        "github_pat_" + run(22) + "_" + run(59),
        "AKIA" + run(16, string.ascii_uppercase + "234567"),
        run(40, LETTERS + "/+"),
    ]
