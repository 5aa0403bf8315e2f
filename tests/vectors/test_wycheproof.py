"""Every row of Wycheproof's JWS, JWK and JWE vectors.

The payloads are no claims: what is valid is taken by the signature's layer, and what is not is refused
there as well as by the whole.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthError, InvalidToken
from callcov_auth.settings import SettingsError
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.guards import take_apart
from callcov_auth.tokens.jwk import BadKey, load_key_set
from callcov_auth.tokens.trusted import InlineKeys
from callcov_auth.tokens.verifier import check_signature
from tests.support.settings import make_settings
from tests.support.vectors import JWE, JWK, JWS, Row, VectorFile, read

pytestmark = pytest.mark.anyio

# Where the right answer is not the file's.
REFUSED = {
    346: "the key is for PS256, and the header says PS384",
    350: "the key is for PS256, and the header says PS384",
    347: "the key's 'alg' is ES521, which is none",
    351: "the key's 'alg' is ES521, which is none",
    372: "a '?' in the header, which the MAC does not cover",
    373: "a '?' in the payload, which the MAC does not cover",
}
TAKEN = {
    367: "the token of 357, byte for byte: the padding that is spoken of is not there",
    370: "the token of 357, byte for byte: the padding that is spoken of is not there",
}


def is_right(row: Row, file: VectorFile) -> bool:
    if file is not JWS:
        return row.is_valid
    return row.number in TAKEN or (row.is_valid and row.number not in REFUSED)


async def is_taken(row: Row) -> bool:
    """Whether the signature's layer takes the row. Whatever else it raises than a refusal gets out."""
    try:
        keys, _ = load_key_set({"keys": list(row.keys)}, algorithms=ALGORITHMS, inline=True)
        await check_signature(take_apart(row.token), InlineKeys(keys))
    except (BadKey, InvalidToken):
        return False
    return True


@asynccontextmanager
async def trusting(row: Row) -> AsyncIterator[Auth]:
    """An Auth with the row's keys as those of an issuer; with none, where the keys already stop the start."""
    try:
        auth = Auth(_settings(row))
    except SettingsError:
        auth = Auth(make_settings())
    async with auth:
        yield auth


def _settings(row: Row) -> object:
    issuer = {
        "issuer": "https://wycheproof.example",
        "audience": "callcov",
        "jwks": {"keys": list(row.keys)},
        "algorithms": sorted(ALGORITHMS),
    }
    return make_settings(trusted_issuers=[issuer])


async def refusal_of(auth: Auth, row: Row) -> type[AuthError] | None:
    try:
        await auth.authenticate(f"Bearer {row.token}")
    except AuthError as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize("file", [JWS, JWK, JWE], ids=lambda file: file.name)
def test_no_row_is_left_out(file: VectorFile) -> None:
    numbers = [row.number for row in read(file)]
    assert len(numbers) == len(set(numbers)) == file.rows


def test_eight_rows_have_another_answer_than_the_file() -> None:
    changed = {row.number for row in read(JWS) if is_right(row, JWS) != row.is_valid}
    assert changed == {346, 347, 350, 351, 367, 370, 372, 373} == REFUSED.keys() | TAKEN.keys()


def test_what_is_taken_against_the_file_is_another_row_that_is_valid() -> None:
    rows = {row.number: row for row in read(JWS)}
    assert {rows[number].token for number in TAKEN} == {rows[357].token}


@pytest.mark.parametrize("file", [JWS, JWK], ids=lambda file: file.name)
async def test_each_row_is_judged_right_by_the_signatures_layer(file: VectorFile) -> None:
    wrong = [
        f"{row.number} ({row.comment}): {'refused' if is_right(row, file) else 'taken'}"
        for row in read(file)
        if await is_taken(row) != is_right(row, file)
    ]
    assert wrong == []


@pytest.mark.parametrize("file", [JWS, JWK], ids=lambda file: file.name)
async def test_each_invalid_row_is_refused_by_the_whole(file: VectorFile) -> None:
    groups: dict[str, list[Row]] = {}
    for row in read(file):
        if not is_right(row, file):
            groups.setdefault(repr(row.keys), []).append(row)
    wrong = []
    for rows in groups.values():
        async with trusting(rows[0]) as auth:
            for row in rows:
                refusal = await refusal_of(auth, row)
                if refusal is not InvalidToken:
                    wrong.append(f"{row.number} ({row.comment}): {refusal}")
    assert wrong == []


async def test_every_encrypted_token_is_refused_by_the_whole() -> None:
    async with Auth(make_settings()) as auth:
        taken = [
            f"{row.number}: {row.comment}"
            for row in read(JWE)
            if await refusal_of(auth, row) is not InvalidToken
        ]
    assert taken == []
