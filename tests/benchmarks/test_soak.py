"""The soak's model: what it calls wrong, what it calls growth, and a run of some seconds."""

import secrets

import pytest

from benchmarks.soak import PROMISE, Known, Look, Model, grew, soak
from tests.support.databases import Database
from tests.support.settings import CHEAP_PASSWORDS

NOW = 1000.0
HERE, THERE = 0, 1


@pytest.mark.parametrize(
    ("ended_at", "process", "outcome", "is_right"),
    [
        (None, HERE, "let in", True),
        (None, HERE, "token_revoked", False),
        (None, HERE, "auth_unavailable", False),
        (NOW, HERE, "token_revoked", True),
        (NOW, HERE, "let in", False),
        (NOW, THERE, "let in", True),
        (NOW, THERE, "invalid_token", False),
        (NOW - PROMISE - 0.1, THERE, "let in", False),
        (NOW - PROMISE - 0.1, THERE, "token_expired", True),
    ],
)
def test_the_model_knows_every_right_answer(
    ended_at: float | None, process: int, outcome: str, is_right: bool
) -> None:
    model = Model()
    key = Known("key_1", "Bearer x", ended_at, None if ended_at is None else HERE)
    model.judge(key, process, NOW, outcome)
    assert (model.wrong.total() == 0) is is_right


def test_what_grows_is_told_and_what_is_flat_is_not() -> None:
    assert grew([Look(100, 50)] * 60) == []
    assert grew([Look(100 + number, 50) for number in range(60)]) == ["memory grew from 125 to 159"]
    # The lead-in may fill caches.
    assert grew([Look(10, 5)] * 10 + [Look(100, 50)] * 50) == []


def test_four_processes_give_no_wrong_answer(database: Database) -> None:
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": database.url,
        "revocation_interval": 0.2,
        "max_active_keys": 10_000,
        **CHEAP_PASSWORDS,
    }
    model, _ = soak(values, 3.0, seed=1)
    assert model.answers["let in"] > 0
    assert model.wrong == {}
