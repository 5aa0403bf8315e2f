"""An issuer whose key set is fetched, without a network: what it sends, and when, is the test's to say."""

from collections.abc import Callable
from typing import Any

import anyio

from callcov_auth.tokens.jwks import Fetched
from tests.support.issuers import Signer

# In seconds; whoever fetches cannot be cancelled, so that a test that fails would never end.
HELD_AT_MOST = 5.0


def key_set_of(*signers: Signer) -> dict[str, Any]:
    return {"keys": [made.jwk() for made in signers]}


class RemoteIssuer:
    """``fetches`` counts. A ``fault`` is raised in the place of an answer; ``meanwhile`` runs before it."""

    def __init__(self, *signers: Signer, max_age: float | None = 600) -> None:
        self.document: object = key_set_of(*signers)
        self.max_age = max_age
        self.fault: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.fetches = 0
        self._answers: anyio.Event | None = None

    def hold(self) -> None:
        """Let whoever asks wait until ``answer``."""
        self._answers = anyio.Event()

    def answer(self) -> None:
        assert self._answers is not None
        self._answers.set()

    async def fetch(self) -> Fetched:
        self.fetches += 1
        self.meanwhile()
        await anyio.lowlevel.checkpoint()
        if self._answers is not None:
            with anyio.fail_after(HELD_AT_MOST):
                await self._answers.wait()
        if self.fault is not None:
            raise self.fault
        return Fetched(self.document, self.max_age)
