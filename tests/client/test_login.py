"""What an answer to a login means, without a server."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from callcov_auth.client import LoginFailed
from callcov_auth.client.login import Answer, Exchange, Login, Pause
from tests.support.clock import Clock

TOKENS = {"access_token": "a.b.c", "refresh_token": "d.e.f", "expires_in": 1800}


def answer(status: int = 200, body: Any = TOKENS, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())


def first_step_after(*answers: Answer) -> Exchange | Pause | str:
    """Return what is asked for after these answers: a step, or, at the end, the token."""
    return first_step_of(Login("user@example.com", "a password", Clock()), *answers)


def first_step_of(login: Login, *answers: Answer) -> Exchange | Pause | str:
    steps = login.renew()
    try:
        step: Exchange | Pause = next(steps)
        for given in answers:
            step = steps.send(given)
    except StopIteration as done:
        token: str = done.value
        return token
    return step


@pytest.mark.parametrize(
    ("life", "fresh_for"), [(7200, 6900), (1800, 1500), (1790, 1611), (600, 540), (60, 54), (1, 0.9)]
)
def test_a_token_is_due_five_minutes_or_a_tenth_of_a_shorter_life_before_its_end(
    life: float, fresh_for: float
) -> None:
    clock = Clock(now=1000.0)
    login = Login("user@example.com", "a password", clock)
    first_step_of(login, answer(body=TOKENS | {"expires_in": life}))

    clock.advance(fresh_for - 0.01)
    assert login.fresh() == "a.b.c"
    clock.advance(0.02)
    assert (login.fresh(), login.alive()) == (None, "a.b.c")
    clock.advance(life - fresh_for)
    assert login.alive() is None


def test_a_life_is_counted_from_before_it_was_asked_for() -> None:
    clock = Clock()
    login = Login("user@example.com", "a password", clock)
    steps = login.renew()
    next(steps)
    clock.advance(1800)
    with pytest.raises(StopIteration):
        steps.send(answer())

    assert login.alive() is None


def test_only_the_token_that_ended_is_forgotten() -> None:
    login = Login("user@example.com", "a password", Clock())
    first_step_of(login, answer())

    login.forget("an older one")
    assert login.fresh() == "a.b.c"
    login.forget("a.b.c")
    assert (login.fresh(), login.alive()) == (None, None)
    assert first_step_of(login) == Exchange("/auth/refresh", b'{"refresh_token": "d.e.f"}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'{"access_token": "a"' + b" " * 65536 + b"}",
        TOKENS | {"access_token": None},
        TOKENS | {"access_token": "a\r\nX-Evil: 1"},
        TOKENS | {"access_token": ""},
        TOKENS | {"refresh_token": 1},
        TOKENS | {"expires_in": "1800"},
        TOKENS | {"expires_in": 0},
        TOKENS | {"expires_in": float("inf")},
        TOKENS | {"expires_in": float("nan")},
    ],
)
def test_an_answer_without_tokens_is_an_error_that_shows_nothing_of_it(body: Any) -> None:
    with pytest.raises(LoginFailed, match=r"^the server's answer holds no tokens$"):
        first_step_after(answer(body=body))


def test_a_date_to_come_back_at_is_waited_for() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    step = first_step_after(answer(503, b"", retry_after=at))

    assert isinstance(step, Pause)
    assert 10 < step.seconds <= 20


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), (" 3 ", 3), ("soon", 1), ("-1", 1), ("", 1), ("Sun, 06 Nov 1994 08:49:37 GMT", 0)],
)
def test_what_cannot_be_read_is_a_short_pause(value: str, seconds: float) -> None:
    assert first_step_after(answer(503, b"", retry_after=value)) == Pause(seconds)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_may_answer_later_is_asked_later(status: int) -> None:
    assert first_step_after(answer(status, b"")) == Pause(1)


@pytest.mark.parametrize("code", ["two words", "x" * 65, 7, "sk_live_" + "x" * 60])
def test_what_a_server_says_is_shown_by_its_code_alone(code: Any) -> None:
    refusal = answer(401, {"error": {"code": code, "message": "secret"}})
    with pytest.raises(LoginFailed, match=r"^the server refused the login: 401$"):
        first_step_after(refusal)


def test_a_step_does_not_show_what_it_sends() -> None:
    step = first_step_after()

    assert isinstance(step, Exchange)
    assert b"a password" in step.content
    assert "a password" not in repr(step)
