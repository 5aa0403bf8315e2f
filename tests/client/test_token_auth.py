"""TokenAuth: it logs in, keeps its token fresh, and sends it to one origin."""

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from callcov_auth.client import InsecureOrigin, LoginFailed, RequestsAuth, TokenAuth
from tests.client.api import EMAIL, LOGIN, PASSWORD, READ, REFRESH, Api, Front, refused
from tests.client.libraries import Ask
from tests.support.servers import serve
from tests.support.tls import Certificate

MINUTE = 60


def token_auth(api: Api, **options: Any) -> TokenAuth:
    return TokenAuth(api.url, EMAIL, PASSWORD, timer=api.clock, **options)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, without sleeping."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    # In that module alone, for the server sleeps too.
    monkeypatch.setattr("callcov_auth.client.tokens.time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr("callcov_auth.client.tokens.anyio", SimpleNamespace(sleep=sleep))
    return slept


def test_it_logs_in_at_first_use_and_no_more(ask: Ask, api: Api) -> None:
    auth = token_auth(api)
    assert api.front.paths.total() == 0

    answers = [ask(auth, "GET", api.url + READ) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json()["kind"] == "token"
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, 0)


@pytest.mark.parametrize(("minutes", "refreshes"), [(24.9, 0), (25.1, 1), (29, 1), (31, 1), (600, 1)])
def test_it_refreshes_five_minutes_ahead(ask: Ask, api: Api, minutes: float, refreshes: int) -> None:
    auth = token_auth(api)
    ask(auth, "GET", api.url + READ)
    api.clock.advance(minutes * MINUTE)

    assert ask(auth, "GET", api.url + READ).status_code == 200
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, refreshes)


def test_a_token_that_the_server_ended_is_renewed_and_the_request_sent_again(ask: Ask, api: Api) -> None:
    auth = token_auth(api)
    ask(auth, "GET", api.url + READ)
    api.front.instead[READ] = [refused("token_expired")]

    assert ask(auth, "GET", api.url + READ).status_code == 200
    assert (api.front.paths[READ], api.front.paths[REFRESH]) == (3, 1)
    assert len(set(api.front.credentials)) == 2


def test_a_body_of_bytes_is_sent_again(ask: Ask, api: Api) -> None:
    api.front.instead["/anything"] = [refused("token_expired")]

    assert ask(token_auth(api), "POST", api.url + "/anything", content=b"the call").text == "yes"
    assert api.front.bodies == [b"the call", b"the call"]


def test_a_body_that_was_a_stream_is_not_sent_again(ask: Ask, api: Api) -> None:
    auth = token_auth(api)
    api.front.instead["/anything"] = [refused("token_expired")]

    answer = ask(auth, "POST", api.url + "/anything", content=(part for part in (b"the ", b"call")))

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")
    assert api.front.bodies == [b"the call"]
    # The next request has the good of it.
    assert ask(auth, "GET", api.url + "/anything").status_code == 200
    assert api.front.paths[REFRESH] == 1


def test_it_is_sent_again_once_alone(ask: Ask, api: Api) -> None:
    api.front.instead[READ] = [refused("token_expired") for _ in range(3)]

    assert ask(token_auth(api), "GET", api.url + READ).status_code == 401
    assert api.front.paths[READ] == 2


@pytest.mark.parametrize(
    "answer",
    [
        refused("invalid_token"),
        refused("token_expired", 403),
        Response("token_expired", 401),
        JSONResponse({"code": "token_expired"}, 401),
    ],
    ids=["invalid", "not 401", "no JSON", "problem details"],
)
def test_what_else_is_refused_is_left_alone(ask: Ask, api: Api, answer: Response) -> None:
    api.front.instead[READ] = [answer]
    is_problem = answer.body == b'{"code":"token_expired"}'

    assert ask(token_auth(api), "GET", api.url + READ).status_code == (
        200 if is_problem else answer.status_code
    )
    assert api.front.paths[REFRESH] == is_problem


def test_another_origin_gets_no_token(
    ask: Ask, api: Api, elsewhere: Front, elsewhere_url: tuple[str, Front]
) -> None:
    auth = token_auth(api)
    ask(auth, "GET", elsewhere_url[0] + "/anything")
    ask(auth, "GET", f"{api.url}/to/{elsewhere_url[0]}/anything")

    assert elsewhere.credentials == [None, None]


def test_another_origin_has_no_say_about_the_token(
    ask: Ask, api: Api, elsewhere: Front, elsewhere_url: tuple[str, Front]
) -> None:
    elsewhere.instead["/anything"] = [refused("token_expired")]

    answer = ask(token_auth(api), "GET", f"{api.url}/to/{elsewhere_url[0]}/anything")

    assert (answer.status_code, api.front.paths[REFRESH]) == (401, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_password_is_not_redirected(
    ask: Ask, api: Api, elsewhere: Front, elsewhere_url: tuple[str, Front], status: int
) -> None:
    tokens = {"access_token": "a.b.c", "refresh_token": "d.e.f", "token_type": "bearer", "expires_in": 1800}
    elsewhere.instead["/login"] = [JSONResponse(tokens)]
    api.front.instead[LOGIN] = [RedirectResponse(elsewhere_url[0] + "/login", status)]

    with pytest.raises(LoginFailed) as raised:
        ask(token_auth(api), "GET", api.url + READ)

    assert not any(PASSWORD.encode() in body for body in elsewhere.bodies)
    assert PASSWORD not in f"{raised.value} {vars(raised.value)}"
    assert api.front.paths[READ] == 0


def test_plain_http_is_refused_at_once() -> None:
    with pytest.raises(InsecureOrigin):
        TokenAuth("http://127.0.0.1:8000", EMAIL, PASSWORD)


def test_plain_http_to_a_loopback_address_works_where_it_is_allowed(ask: Ask, api: Api) -> None:
    front = Front(instead={LOGIN: [refused("invalid_credentials")]})
    with serve(front, lifespan="off") as url:
        auth = TokenAuth(url + "/", EMAIL, PASSWORD, allow_loopback_http=True)
        with pytest.raises(LoginFailed, match="invalid_credentials"):
            ask(auth, "GET", url + "/anything")

    assert front.paths[LOGIN] == 1


def test_the_newest_refresh_token_is_the_one_that_is_sent(ask: Ask, api: Api) -> None:
    auth = token_auth(api)
    for number in range(3):
        answer = {"access_token": f"a.{number}.c", "refresh_token": f"r-{number}", "expires_in": 1800}
        api.front.instead.setdefault(REFRESH if number else LOGIN, []).append(JSONResponse(answer))
    for _ in range(3):
        ask(auth, "GET", api.url + "/anything")
        api.clock.advance(26 * MINUTE)

    assert [body for body in api.front.bodies if b"r-" in body] == [
        b'{"refresh_token": "r-0"}',
        b'{"refresh_token": "r-1"}',
    ]
    assert api.front.credentials == [f"Bearer a.{number}.c" for number in range(3)]


@pytest.mark.parametrize("code", ["token_revoked", "token_expired", "invalid_token"])
def test_it_logs_in_anew_when_the_refresh_token_is_refused(ask: Ask, api: Api, code: str) -> None:
    auth = token_auth(api)
    ask(auth, "GET", api.url + READ)
    api.front.instead[REFRESH] = [refused(code)]
    api.clock.advance(26 * MINUTE)

    assert ask(auth, "GET", api.url + READ).status_code == 200
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (2, 1)


def test_it_logs_in_anew_where_a_hook_of_the_client_raises_what_was_refused(
    api: Api, certificate: Certificate
) -> None:
    hooks = {"response": [lambda answer: answer.raise_for_status()]}
    with httpx2.Client(
        auth=token_auth(api), verify=certificate.client_context(), event_hooks=hooks, trust_env=False
    ) as client:
        client.get(api.url + READ)
        api.front.instead[REFRESH] = [refused("token_revoked") for _ in range(3)]
        api.clock.advance(31 * MINUTE)
        for _ in range(2):
            with pytest.raises(httpx2.HTTPStatusError):
                client.get(api.url + READ)

        assert client.get(api.url + READ).status_code == 200
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (2, 2)


def test_after_the_weeks_end_it_logs_in_anew(ask: Ask, api: Api) -> None:
    auth = token_auth(api)
    ask(auth, "GET", api.url + READ)
    api.clock.advance(8 * 24 * 60 * MINUTE)

    assert ask(auth, "GET", api.url + READ).status_code == 200
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (2, 1)


def test_a_wrong_password_is_told_and_not_tried_on_and_on(ask: Ask, api: Api) -> None:
    auth = TokenAuth(api.url, EMAIL, "not the password", timer=api.clock)

    for _ in range(3):
        with pytest.raises(LoginFailed, match="invalid_credentials") as raised:
            ask(auth, "GET", api.url + READ)
        assert (raised.value.code, raised.value.status) == ("invalid_credentials", 401)
    assert (api.front.paths[LOGIN], api.front.paths[READ]) == (1, 0)

    api.clock.advance(31)
    with pytest.raises(LoginFailed):
        ask(auth, "GET", api.url + READ)
    assert api.front.paths[LOGIN] == 2


def test_it_waits_as_long_as_it_is_told(ask: Ask, api: Api, waits: list[float]) -> None:
    api.front.instead[LOGIN] = [
        refused("rate_limited", 429, Retry_After="7"),
        refused("auth_unavailable", 503, Retry_After="2"),
    ]

    assert ask(token_auth(api), "GET", api.url + READ).status_code == 200
    assert waits == [7, 2]


def test_it_asks_three_times_at_most(ask: Ask, api: Api, waits: list[float]) -> None:
    api.front.instead[LOGIN] = [refused("auth_unavailable", 503, Retry_After="1") for _ in range(9)]

    with pytest.raises(LoginFailed, match="auth_unavailable"):
        ask(token_auth(api), "GET", api.url + READ)
    assert (api.front.paths[LOGIN], waits) == (3, [1, 1])


def test_it_does_not_wait_for_long(ask: Ask, api: Api, waits: list[float]) -> None:
    auth = token_auth(api)
    api.front.instead[LOGIN] = [refused("rate_limited", 429, Retry_After="900")]

    for _ in range(2):
        with pytest.raises(LoginFailed) as raised:
            ask(auth, "GET", api.url + READ)
        assert raised.value.retry_after == 900
    assert (api.front.paths[LOGIN], waits) == (1, [])

    api.clock.advance(900)
    assert ask(auth, "GET", api.url + READ).status_code == 200


@pytest.mark.parametrize("answer", [refused("auth_unavailable", 503, Retry_After="60"), Response("", 500)])
def test_while_it_lasts_a_token_outlives_a_server_that_renews_none(
    ask: Ask, api: Api, answer: Response, waits: list[float]
) -> None:
    auth = token_auth(api)
    ask(auth, "GET", api.url + READ)
    api.front.instead[REFRESH] = [answer]
    api.clock.advance(26 * MINUTE)

    assert [ask(auth, "GET", api.url + READ).status_code for _ in range(2)] == [200, 200]
    assert (api.front.paths[REFRESH], waits) == (1, [])
    api.clock.advance(61)
    assert ask(auth, "GET", api.url + READ).status_code == 200
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, 2)


def test_nothing_of_the_user_is_shown(api: Api, certificate: Certificate) -> None:
    auth = token_auth(api)
    with httpx2.Client(auth=auth, verify=certificate.client_context(), trust_env=False) as client:
        client.get(api.url + READ)

    shown = f"{auth!r} {auth} {vars(auth)} {RequestsAuth(auth, None)!r} {auth._login._tokens!r}"  # type: ignore[arg-type]
    assert api.url in shown
    for secret in (EMAIL, PASSWORD, api.front.credentials[0]):
        assert str(secret).removeprefix("Bearer ") not in shown
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(auth)
    with pytest.raises(TypeError, match="is not pickled"):
        copy.deepcopy(auth)
