"""The two settings that widen where a credential may stand; credentials in two places are refused."""

from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.server.socket_client import be_refused, hear
from tests.support.raw_http import ask
from tests.support.servers import serve

SEVERAL = "The request carries more than one credential"
NO_KEY = "The API key header holds no API key"
SUBPROTOCOLS = "The offered subprotocols are malformed"


@pytest.fixture(scope="module")
def site(seeded: Seeded, websocket_implementation: str) -> Iterator[str]:
    settings = seeded.settings.replace(api_key_header="X-API-Key", websocket_protocol=True)
    with serve(make_site(Auth(settings)), ws=websocket_implementation) as url:
        yield url


@pytest.fixture(scope="module")
def plain_site(seeded: Seeded, websocket_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), ws=websocket_implementation) as url:
        yield url


def filled(seeded: Seeded, *texts: str) -> list[str]:
    return [text.replace("<key>", seeded.key).replace("<token>", seeded.token) for text in texts]


def filled_lines(seeded: Seeded, *lines: str) -> list[bytes]:
    return [line.encode("ascii") for line in filled(seeded, *lines)]


@pytest.mark.parametrize("line", ["X-API-Key: <key>", "x-api-key: <key>", "X-API-KEY:  <key>  "])
def test_the_key_header_carries_a_key(site: str, seeded: Seeded, line: str) -> None:
    answer = ask(site, "/api/v1/analysis/", *filled_lines(seeded, line))

    assert answer.status == 200
    assert b'"kind":"api_key"' in answer.body


def test_the_key_header_carries_a_key_to_a_websocket(site: str, seeded: Seeded) -> None:
    assert hear(site, "/ws", *filled_lines(seeded, "X-API-Key: <key>"))["kind"] == "api_key"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["X-API-Key: <token>"], NO_KEY),
        (["X-API-Key: Bearer <key>"], NO_KEY),
        (["X-API-Key:"], NO_KEY),
        (["X-API-Key: hello"], NO_KEY),
        (["X-API-Key: <key>, <key>"], "The Authorization header is malformed"),
        (["X-API-Key: sk_live_junk"], "The API key is not valid"),
        (["X-API-Key: <key>", "X-API-Key: <key>"], SEVERAL),
        (["X-API-Key: <key>", "Authorization: Bearer <key>"], SEVERAL),
        (["X-API-Key: <key>", "Authorization: Bearer <token>"], SEVERAL),
        (["X-API-Key: <key>", "Authorization:"], SEVERAL),
        (["X-API-Key: junk", "Authorization: Bearer <key>"], NO_KEY),
    ],
)
def test_what_the_key_header_may_not_hold(site: str, seeded: Seeded, lines: list[str], message: str) -> None:
    answer = ask(site, "/api/v1/analysis/", *filled_lines(seeded, *lines))

    assert (answer.status, answer.error["code"]) == (401, "invalid_token")
    assert answer.error["message"] == message


def test_authorization_goes_on_working_beside_the_settings(site: str, seeded: Seeded) -> None:
    assert ask(site, "/api/v1/analysis/", *seeded.lines("token")).status == 200
    assert hear(site, "/ws", *seeded.lines("token"))["kind"] == "token"


@pytest.mark.parametrize(
    ("offered", "kind", "left"),
    [
        (["bearer", "<key>"], "api_key", ["bearer"]),
        (["bearer", "<token>"], "token", ["bearer"]),
        (["chat", "bearer", "<key>"], "api_key", ["chat", "bearer"]),
        (["bearer", "<key>", "chat"], "api_key", ["bearer", "chat"]),
    ],
)
def test_a_browser_offers_the_credential_as_a_subprotocol_which_the_app_never_sees(
    site: str, seeded: Seeded, offered: list[str], kind: str, left: list[str]
) -> None:
    heard = hear(site, "/ws", subprotocols=filled(seeded, *offered))

    assert (heard["kind"], heard["subject"]) == (kind, seeded.owner_id)
    assert heard["chosen"] == "bearer"
    assert heard["subprotocols"] == left
    assert heard["header"] == [", ".join(left)]


def test_the_app_may_choose_another_of_the_offered(site: str, seeded: Seeded) -> None:
    assert hear(site, "/ws/chat", subprotocols=["bearer", seeded.key, "chat"]) == {"chosen": "chat"}


def test_subprotocols_without_bearer_are_the_apps_own(site: str, seeded: Seeded) -> None:
    heard = hear(site, "/ws", *seeded.lines("key"), subprotocols=["chat", "v2"])

    assert (heard["subprotocols"], heard["chosen"]) == (["chat", "v2"], None)


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (["bearer"], SUBPROTOCOLS),
        (["<key>", "bearer"], SUBPROTOCOLS),
        (["bearer", "<key>", "bearer"], SUBPROTOCOLS),
        (["bearer", "hello"], "The credential is neither an API key nor a token"),
        (["bearer", "chat", "<key>"], "The credential is neither an API key nor a token"),
        (["bearer", "sk_live_junk"], "The API key is not valid"),
        (["bearer", "a.b.c"], "The token is not valid"),
    ],
)
def test_malformed_offers_are_refused(site: str, seeded: Seeded, offered: list[str], message: str) -> None:
    refusal = be_refused(site, "/ws", subprotocols=filled(seeded, *offered))

    assert (refusal.status, refusal.error["code"]) == (401, "invalid_token")
    assert refusal.error["message"] == message
    assert "Sec-WebSocket-Protocol" not in refusal.headers


@pytest.mark.parametrize(
    "line", ["Authorization: Bearer <key>", "Authorization: Bearer <token>", "X-API-Key: <key>"]
)
def test_a_subprotocol_and_a_header_are_two_credentials(site: str, seeded: Seeded, line: str) -> None:
    refusal = be_refused(
        site, "/ws", *filled_lines(seeded, line), subprotocols=filled(seeded, "bearer", "<key>")
    )

    assert (refusal.status, refusal.error["message"]) == (401, SEVERAL)


@pytest.mark.parametrize("offered", [["<key>"], ["Bearer", "<key>"], ["access_token", "<token>"]])
def test_no_other_subprotocol_is_looked_at(site: str, seeded: Seeded, offered: list[str]) -> None:
    refusal = be_refused(site, "/ws", subprotocols=filled(seeded, *offered))

    assert (refusal.status, refusal.error["code"]) == (401, "missing_token")


def test_an_http_request_carries_nothing_in_the_subprotocol_header(site: str, seeded: Seeded) -> None:
    answer = ask(site, "/", *filled_lines(seeded, "Sec-WebSocket-Protocol: bearer, <key>"))

    assert (answer.status, answer.error["code"]) == (401, "missing_token")


def test_both_settings_are_off_by_default(plain_site: str, seeded: Seeded) -> None:
    by_header = ask(plain_site, "/api/v1/analysis/", *filled_lines(seeded, "X-API-Key: <key>"))
    by_offer = be_refused(plain_site, "/ws", subprotocols=["bearer", seeded.key])

    assert (by_header.status, by_header.error["code"]) == (401, "missing_token")
    assert (by_offer.status, by_offer.error["code"]) == (401, "missing_token")


def test_an_unread_header_beside_the_credential_is_no_second_one(plain_site: str, seeded: Seeded) -> None:
    lines = filled_lines(seeded, "X-API-Key: <key>")

    assert ask(plain_site, "/api/v1/analysis/", *seeded.lines("key"), *lines).status == 200


def test_where_the_setting_is_off_the_apps_subprotocols_are_left_alone(
    plain_site: str, seeded: Seeded
) -> None:
    heard = hear(plain_site, "/ws", *seeded.lines("key"), subprotocols=["bearer", "mine"])

    assert (heard["subprotocols"], heard["chosen"]) == (["bearer", "mine"], None)
