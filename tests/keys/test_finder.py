"""Finding keys in bytes: each key, on its line, however the bytes come; and nothing else."""

import io
import logging
import random
import secrets
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcov_auth.keys import finder
from callcov_auth.keys.finder import REACH, Find, Finder, finds_in, redacted
from callcov_auth.keys.format import mint, read
from tests.support.examples import full_run
from tests.support.planted import minted, near_misses, of_other_services

MAC_KEY = secrets.token_bytes(32)
MAC_KEYS = (MAC_KEY,)

LONGEST = mint(MAC_KEY, "test", "s" + "0" * 15)
KEYS = [*minted(MAC_KEY, 4), LONGEST]
FORGED = mint(bytes(32), "live")

# What stands around keys in files, and what may hide one: the starts of others.
starts = [b"sk_", b"sk_live_", b"sk_test_dev_", b"sk_live_" + b"a" * 46, b"s\0k\0_\0", b"task_"]
separators = [b"", b" ", b"\n", b"\r\n", b"=", b"'", b"\\n", b"\0", b"\xff\xfe", b"\n" * 3, b"x" * 150]
noise = st.sampled_from([*separators, *starts, FORGED.encode()])
planted = st.sampled_from([key.encode() for key in KEYS])
pieces = st.lists(st.one_of(noise, planted), max_size=12)


def finds_in_pieces(whole: bytes, cuts: list[int]) -> list[Find]:
    finder, found = Finder(MAC_KEYS), []
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    for start, end in pairwise(edges):
        found += finder.feed(whole[start:end])
    return found + finder.finish()


@full_run(2_000)
@given(pieces, st.lists(st.integers(0, 10_000), max_size=8))
def test_a_key_is_found_wherever_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(parts)
    found = finds_in_pieces(whole, cuts)
    genuine = [find.text.encode() for find in found if find.genuine]

    assert found == finds_in(whole, MAC_KEYS)
    assert genuine == [part for part in parts if part in {key.encode() for key in KEYS}]


@full_run(500)
@given(pieces)
def test_a_find_stands_on_its_line(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    lines = whole.split(b"\n")
    found = finds_in_pieces(whole, list(range(0, len(whole), 7)))

    assert all(find.text.encode() in lines[find.line - 1] for find in found)
    assert [find.line for find in found] == sorted(find.line for find in found)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [1, 7, len(LONGEST), REACH, REACH + 1])
def test_a_key_is_found_at_every_offset_from_a_cut(key: str, size: int) -> None:
    for offset in range(2 * len(key)):
        whole = b"\n" * offset + key.encode() + b"\n" * 200
        assert finds_in_pieces(whole, list(range(0, len(whole), size))) == [Find(offset + 1, key, True)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_found_in_the_encodings_that_files_have(key: str, encoding: str) -> None:
    whole = f"first\nkey = '{key}'\n".encode(encoding)
    assert finds_in(whole, MAC_KEYS) == [Find(2, key, True)]
    assert finds_in_pieces(whole, list(range(len(whole)))) == [Find(2, key, True)]
    assert [find.text for find in finds_in(key.encode(encoding), ())] == [key], "at the very end"


@full_run(500)
@given(st.binary(max_size=300), st.sampled_from(KEYS), st.binary(max_size=300))
def test_whatever_bytes_stand_around_it_a_key_is_found(before: bytes, key: str, after: bytes) -> None:
    assert [find.text for find in finds_in(before + key.encode() + after, MAC_KEYS)] == [key]


def test_two_keys_without_anything_between_are_both_found() -> None:
    assert [find.text for find in finds_in("".join(KEYS).encode(), MAC_KEYS)] == KEYS


def test_a_key_is_not_hidden_by_what_starts_before_it() -> None:
    hiding = b"sk_live_" + b"a" * 46
    assert [find.text for find in finds_in(hiding + KEYS[0].encode(), MAC_KEYS) if find.genuine] == [KEYS[0]]


def test_a_key_under_an_older_secret_is_genuine() -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    (find,) = finds_in(mint(old, "live").encode(), (new, old))
    assert find.genuine is True


def test_what_only_looks_like_a_key_is_told_from_one() -> None:
    chance = random.Random(1)
    for key in minted(MAC_KEY, 40):
        for other in (*near_misses(key, chance), *of_other_services(chance)):
            for around in (f"{other}", f'key="{other}"', f"a{other}é\n"):
                assert not any(find.genuine for find in finds_in(around.encode(), MAC_KEYS)), around


def test_without_a_secret_the_form_decides() -> None:
    text = f"{KEYS[0]}\n{FORGED}\n{FORGED[:-1]}\n{FORGED}x\n"
    assert finds_in(text.encode(), ()) == [Find(1, KEYS[0], None), Find(2, FORGED, None)]


@full_run(500)
@given(st.from_regex(r"sk_(live|test)_([a-z][a-z0-9]{0,15}_)?[0-9A-Za-z]{48}", fullmatch=True))
def test_the_finder_has_the_grammar_of_the_keys(text: str) -> None:
    assert read(text) is not None
    assert [find.text for find in finds_in(text.encode(), ())] == [text]


def test_a_find_shows_no_more_than_the_prefix() -> None:
    (find,) = finds_in(KEYS[0].encode(), MAC_KEYS)
    logger, shown = logging.getLogger("tests.finder"), io.StringIO()
    logger.addHandler(logging.StreamHandler(shown))
    logger.warning("%s %r", find, find)

    assert find.prefix == KEYS[0][:14]
    assert "Find(line=1, genuine=True)" in shown.getvalue()
    assert KEYS[0] not in shown.getvalue()


@pytest.mark.parametrize("key", KEYS)
def test_a_text_is_shown_without_its_keys(key: str) -> None:
    hidden = "sk_live_" + "a" * 46
    for text in (key, f"a/{key}/b.txt", f"{key}.{key}", hidden + key):
        shown = redacted(text)
        assert key[-30:] not in shown
        assert "…" in shown
    assert redacted("sk_live_short/b.txt") == "sk_live_short/b.txt"


def test_what_is_kept_between_pieces_has_a_bound() -> None:
    taking = Finder(MAC_KEYS)
    for _ in range(50):
        taking.feed(b"sk_live_" * 1000)
        assert len(vars(taking)["_kept"]) <= finder.REACH
