"""What is told when the keys of another issuer cannot be had, and which of its keys count at all."""

from collections.abc import Callable

import anyio
import pytest

from callcov_auth.errors import AuthUnavailable
from callcov_auth.tokens.jwks import FetchFailed, RemoteKeys
from tests.support.clock import Clock
from tests.support.issuers import signer
from tests.support.remote_issuer import RemoteIssuer, key_set_of

pytestmark = pytest.mark.anyio

EC, SECRET = signer("ES256", "ec"), signer("HS256", "secret")
SOON = 4  # seconds of real time: less than an issuer holds its answer


@pytest.fixture
def issuer() -> RemoteIssuer:
    return RemoteIssuer(EC)


@pytest.fixture
def keys(issuer: RemoteIssuer, clock: Clock) -> RemoteKeys:
    return RemoteKeys(
        "https://a.example", issuer.fetch, algorithms={"ES256", "HS256"}, stale_for=60, timer=clock
    )


def fail(error: Exception) -> Callable[[RemoteIssuer], None]:
    def do(issuer: RemoteIssuer) -> None:
        issuer.fault = error

    return do


def send(document: object) -> Callable[[RemoteIssuer], None]:
    def do(issuer: RemoteIssuer) -> None:
        issuer.document = document

    return do


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (fail(FetchFailed("status_500")), "status_500"),
        (fail(KeyError("odd")), "KeyError"),
        (send({"keys": []}), "the key set is empty"),
        (send(key_set_of(SECRET)), "key 'secret': a secret key that was fetched is known to others"),
        (send([]), "a key set is an object with a list of at most 100 'keys' (RFC 7517 §5)"),
    ],
    ids=["no answer", "an odd answer", "no keys", "no key that counts", "no key set"],
)
async def test_the_first_loss_is_told_with_its_reason(
    keys: RemoteKeys,
    issuer: RemoteIssuer,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[RemoteIssuer], None],
    reason: str,
) -> None:
    spoil(issuer)
    with pytest.raises(AuthUnavailable):
        await keys.find("ec")
    assert [record.getMessage() for record in caplog.records] == [
        f"keys_lost issuer='https://a.example' reason={reason!r}"
    ]


async def test_a_secret_key_that_was_fetched_counts_for_nothing(
    keys: RemoteKeys, issuer: RemoteIssuer
) -> None:
    issuer.document = key_set_of(EC, SECRET)
    assert await keys.find("secret") is None
    found = await keys.find("ec")
    assert found is not None
    assert found.alg == "ES256"


async def test_the_background_task_ends_though_no_answer_comes(
    keys: RemoteKeys, issuer: RemoteIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.hold()
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as background:
            background.start_soon(keys.refresh)
            while issuer.fetches == 0:
                await anyio.lowlevel.checkpoint()
            background.cancel_scope.cancel()
    assert caplog.records == []
