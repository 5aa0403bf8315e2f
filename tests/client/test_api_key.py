"""ApiKeyAuth: the key goes to one origin, over HTTPS, and nowhere else."""

import pickle

import httpx
import httpx2
import pytest

from callcov_auth.client import ApiKeyAuth, InsecureOrigin, RequestsAuth
from tests.client.api import READ, Api, Front
from tests.client.libraries import Ask
from tests.support.servers import serve

KEY = "sk_test_not-a-real-one"


def test_the_key_is_taken(ask: Ask, api: Api) -> None:
    answer = ask(ApiKeyAuth(api.key), "GET", api.url + READ)

    assert (answer.status_code, answer.json()["kind"]) == (200, "api_key")


def test_the_key_comes_from_the_environment(api: Api, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_API_KEY", api.key)

    assert ask(ApiKeyAuth(), "GET", api.url + READ).status_code == 200


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_API_KEY", "sk_test_another")

    assert ApiKeyAuth(KEY).authorization_for("https://api.example.com/") == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [None, "", " ", f" {KEY}", f"{KEY}\r\nX-Evil: 1", "sk_live_ü"])
def test_what_is_no_key_is_refused_and_not_shown(key: str | None) -> None:
    with pytest.raises(ValueError, match="there is no API key: give one, or set CALLCOV_API_KEY") as raised:
        ApiKeyAuth(key)

    assert "sk_" not in str(raised.value)


@pytest.mark.parametrize("base_url", [True, False])
def test_another_origin_gets_no_key(
    ask: Ask, api: Api, elsewhere: Front, elsewhere_url: tuple[str, Front], base_url: bool
) -> None:
    auth = ApiKeyAuth(api.key, base_url=api.url if base_url else None)
    ask(auth, "GET", api.url + READ)

    assert ask(auth, "GET", elsewhere_url[0] + "/anything").status_code == 200
    assert elsewhere.credentials == [None]


def test_a_redirect_to_another_origin_carries_no_key(
    ask: Ask, api: Api, elsewhere: Front, elsewhere_url: tuple[str, Front]
) -> None:
    answer = ask(ApiKeyAuth(api.key), "GET", f"{api.url}/to/{elsewhere_url[0]}/anything")

    assert answer.status_code == 200
    assert (api.front.credentials, elsewhere.credentials) == ([f"Bearer {api.key}"], [None])


def test_a_redirect_within_the_origin_keeps_the_key(ask: Ask, api: Api) -> None:
    assert ask(ApiKeyAuth(api.key), "GET", f"{api.url}/to/{READ}").status_code == 200


def test_the_key_is_not_sent_in_plain(ask: Ask) -> None:
    front = Front()
    with serve(front, lifespan="off") as url:
        with pytest.raises(InsecureOrigin, match="allow_loopback_http=True"):
            ask(ApiKeyAuth(KEY), "GET", url + "/anything")
        assert front.paths.total() == 0

        ask(ApiKeyAuth(KEY, allow_loopback_http=True), "GET", url + "/anything")
        assert front.credentials == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    "url", ["http://api.example.com", "http://10.0.0.1", "ftp://localhost", "//localhost"]
)
def test_plain_http_is_for_the_loopback_address_alone(url: str) -> None:
    with pytest.raises(InsecureOrigin):
        ApiKeyAuth(KEY, allow_loopback_http=True).authorization_for(url)


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.2", "http://[::1]:8000"])
def test_a_loopback_address_may_be_plain_where_that_is_asked_for(url: str) -> None:
    assert ApiKeyAuth(KEY, base_url=url, allow_loopback_http=True).authorization_for(url) is not None
    with pytest.raises(InsecureOrigin):
        ApiKeyAuth(KEY, base_url=url)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com",
        "https://",
        "https://u:p@api.example.com",
        "https://a.example?b",
        "https://a.example#b",
    ],
)
def test_what_is_no_address_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url is an address such as"):
        ApiKeyAuth(KEY, base_url=base_url)


@pytest.mark.parametrize(
    ("url", "belongs"),
    [
        ("https://API.example.com:443/x", True),
        ("HTTPS://api.example.com", True),
        ("https://api.example.com:8443", False),
        ("http://api.example.com", False),
        ("https://api.example.com.evil.example", False),
        ("https://evil.example/api.example.com", False),
        ("https://api.example.com@evil.example", False),
        ("https://xn--bcher-kva.example", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, belongs: bool) -> None:
    auth = ApiKeyAuth(KEY, base_url="https://api.example.com/v2")

    assert (auth.authorization_for(url) is not None) is belongs


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_name_of_any_alphabet_is_one_name(library: type[httpx]) -> None:  # type: ignore[valid-type]
    auth = ApiKeyAuth(KEY, base_url="https://bücher.example")

    assert auth.authorization_for(library.URL("https://bücher.example/x")) is not None


def test_a_name_that_cannot_be_written_in_ascii_is_left_as_it_is() -> None:
    auth = ApiKeyAuth(KEY, base_url=f"https://{'ü' * 64}.example")

    assert auth.authorization_for("https://api.example.com") is None


def test_nothing_of_the_key_is_shown() -> None:
    auth = ApiKeyAuth(KEY)

    assert "sk_" not in f"{auth!r} {auth} {vars(auth)} {RequestsAuth(auth, None)!r}"  # type: ignore[arg-type]
    for holder in (auth, RequestsAuth(auth, None)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="holds a credential and is not pickled"):
            pickle.dumps(holder)
