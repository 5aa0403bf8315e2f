"""The grammar of a key, minting, the MAC."""

import hashlib
import hmac
import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcov_auth.keys.format import ALPHABET, digest, mint, read
from tests.support.examples import full_run

MAC_KEY = secrets.token_bytes(32)
GRAMMAR = re.compile(r"sk_(live|test)_([a-z][a-z0-9]{0,15}_)?[0-9A-Za-z]{48}")
TAIL = "a" * 48

environments = st.sampled_from(["live", "test"])
segments = st.one_of(st.none(), st.from_regex(r"[a-z][a-z0-9]{0,15}", fullmatch=True))


def is_genuine(mac_key: bytes, key: str) -> bool:
    form = read(key)
    return form is not None and form.is_genuine((mac_key,))


def told(key: str) -> tuple[str, str | None]:
    form = read(key)
    assert form is not None
    return form.environment, form.segment


@full_run(1_000)
@given(environments, segments)
def test_every_minted_key_parses_and_is_genuine(environment: str, segment: str | None) -> None:
    key = mint(MAC_KEY, environment, segment)
    assert GRAMMAR.fullmatch(key)
    assert told(key) == (environment, segment)
    assert is_genuine(MAC_KEY, key)


@pytest.mark.parametrize("environment", ["live", "test"])
@pytest.mark.parametrize("segment", [None, "d", "dev", "d" + "0" * 15])
def test_no_key_with_one_character_changed_is_genuine(environment: str, segment: str | None) -> None:
    key = mint(MAC_KEY, environment, segment)
    for at, written in enumerate(key):
        for other in set(ALPHABET + "_-.") - {written}:
            assert not is_genuine(MAC_KEY, key[:at] + other + key[at + 1 :])


@full_run(2_000)
@given(st.one_of(st.text(max_size=80), st.text("sk_livetest09AZ-é\n", max_size=80)))
def test_nothing_invented_is_genuine_and_nothing_raises(text: str) -> None:
    assert not is_genuine(MAC_KEY, text)
    assert read(text) is None or GRAMMAR.fullmatch(text)


@full_run(500)
@given(environments, segments)
def test_the_mac_is_six_digits_of_a_keyed_hash_of_all_before_it(
    environment: str, segment: str | None
) -> None:
    """Worked out apart from the code, for keys are in people's hands: the MAC never changes."""
    key = mint(MAC_KEY, environment, segment)
    hashed = hashlib.blake2b(key[:-6].encode(), digest_size=8, key=MAC_KEY).digest()
    number = int.from_bytes(hashed, "big")
    assert key[-6:] == "".join(ALPHABET[number // 62**place % 62] for place in range(6))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk_live_",
        "sk_live_" + TAIL[1:],
        "sk_live_" + TAIL + "a",
        "sk_prod_" + TAIL,
        "SK_live_" + TAIL,
        "sk_live_1dev_" + TAIL,
        "sk_live_Dev_" + TAIL,
        "sk_live__" + TAIL,
        "sk_live_" + "d" * 17 + "_" + TAIL,
        "sk_live_dev_dev_" + TAIL,
        "sk_live_" + TAIL[1:] + "-",
        "sk_live_" + TAIL[1:] + "é",
        "sk_live_" + TAIL + "\n",
        " sk_live_" + TAIL,
    ],
)
def test_what_is_no_key(key: str) -> None:
    assert read(key) is None


def test_the_longest_segment_is_read() -> None:
    assert told("sk_live_" + "d" * 16 + "_" + TAIL) == ("live", "d" * 16)


def test_a_key_is_genuine_under_its_own_pepper_alone() -> None:
    assert not is_genuine(secrets.token_bytes(32), mint(MAC_KEY, "live"))


def test_the_mac_covers_environment_and_segment() -> None:
    key = mint(MAC_KEY, "test", "dev")
    assert not is_genuine(MAC_KEY, key.replace("sk_test_", "sk_live_"))
    assert not is_genuine(MAC_KEY, key.replace("_dev_", "_prod_"))
    assert not is_genuine(MAC_KEY, key.replace("_dev_", "_"))


def test_keys_do_not_repeat_and_use_the_whole_alphabet() -> None:
    keys = [mint(MAC_KEY, "live") for _ in range(500)]
    assert len(set(keys)) == 500
    assert set("".join(key[8:] for key in keys)) == set(ALPHABET)


def test_the_digest_is_hmac_sha256_of_the_whole_key() -> None:
    assert digest(b"pepper", "sk_live_x") == hmac.new(b"pepper", b"sk_live_x", "sha256").digest()
