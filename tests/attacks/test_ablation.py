"""Every guard is needed: with that one switched off, an attack gets in that is refused with it.

Where a guard turns a fault into a refusal, or spares work that another guard would do, nothing gets in
without it; the row says what comes in its place.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from callcov_auth.errors import AuthError
from callcov_auth.settings import SettingsError
from tests.attacks.ablation import guards
from tests.attacks.ablation_of_keys import FETCHING, KEYS, SIGNING_KEYS
from tests.attacks.ablation_of_tokens import API_KEYS, CREDENTIALS, STRICT_JSON, TOKENS
from tests.attacks.ablation_row import GETS_IN, Outcome, Row
from tests.attacks.cases import refused
from tests.support.clock import Clock
from tests.support.issuers import open_world

pytestmark = pytest.mark.anyio

# What adds words to a reason, and says no to nothing by itself.
REWORDINGS = {"tokens.guards.refused: token_{}", "tokens.jwk.load_key: key {}: {}"}
# What cannot be known is no attack; tests/tokens has it.
UNKNOWABLE = {
    "tokens.stored_keys.StoredKeys.find: signing_keys_unavailable",
    "tokens.issuer.TokenService._refreshed: session_contended",
}

# What only saves a lookup that would refuse as well; tests/keys has it.
THRIFT = {"keys.validator.KeyValidator.refuse_at_sight: key_still_unknown"}

ROWS = (*STRICT_JSON, *CREDENTIALS, *API_KEYS, *TOKENS, *KEYS, *SIGNING_KEYS, *FETCHING)


@pytest.fixture
def anyio_backend() -> str:
    # What a guard decides does not depend on the event loop.
    return "asyncio"


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_without_this_guard_the_attack_gets_on(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world(Clock()) as world:
        await refused(row.case, world)
        row.switch_off(monkeypatch)
        assert await outcome_of(lambda: row.case.attempt(world), row.outcome) == row.outcome


async def outcome_of(attempt: Callable[[], Any], expected: Outcome) -> Outcome:
    try:
        await attempt()
    except AuthError as refusal:
        return refusal.reason
    except SettingsError:
        raise
    except Exception as stray:
        return expected if isinstance(expected, type) and isinstance(stray, expected) else type(stray)
    return GETS_IN


def test_every_guard_in_the_source_has_its_row() -> None:
    needed = Counter(guard for guard in guards() if guard not in REWORDINGS | UNKNOWABLE | THRIFT)
    lacking = needed - Counter(row.guard for row in ROWS)
    assert sorted(lacking.elements()) == []
