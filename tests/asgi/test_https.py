"""HTTPS, and whose word counts for it."""

from ipaddress import ip_network
from typing import Any

import pytest

from callcov_auth import Auth, AuthMiddleware
from callcov_auth.asgi.https import Proxies, client_address, is_secure
from tests.support.asgi import connect, request
from tests.support.settings import make_settings

PROXIES: Proxies = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(client: str | None, scheme: str = "http", **headers: str) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": scheme,
        "client": (client, 1234) if client else None,
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, values in headers.items()
            for value in values.split("|")
        ],
    }


@pytest.mark.parametrize(
    ("scheme", "secure"), [("https", True), ("wss", True), ("http", False), ("ws", False)]
)
def test_without_proxies_the_connection_decides(scheme: str, secure: bool) -> None:
    for claimed in ("http", "https"):
        assert is_secure(scope("10.0.0.1", scheme, x_forwarded_proto=claimed), ()) is secure


def test_a_scope_without_a_scheme_is_not_secure() -> None:
    assert not is_secure({"type": "http", "headers": []}, ())


@pytest.mark.parametrize(
    ("client", "forwarded", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "WSS", True),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", "https, http", False),
        ("10.0.0.1", "https|http", False),
        ("10.0.0.1", "https,https", True),
        ("10.0.0.1", "", False),
        ("10.0.0.1", "httpsx", False),
        ("::ffff:10.0.0.1", "https", True),
        ("fd00::1", "https", True),
        ("11.0.0.1", "https", False),
        ("testclient", "https", False),
        (None, "https", False),
    ],
)
def test_a_trusted_proxy_is_believed_and_no_other(client: str | None, forwarded: str, secure: bool) -> None:
    assert is_secure(scope(client, x_forwarded_proto=forwarded), PROXIES) is secure


def test_a_trusted_proxy_that_speaks_of_plain_http_is_believed_too() -> None:
    assert not is_secure(scope("10.0.0.1", "https", x_forwarded_proto="http"), PROXIES)
    assert is_secure(scope("10.0.0.1", "https"), PROXIES)


def test_a_socket_file_is_trusted_where_it_is_named() -> None:
    assert is_secure(scope(None, x_forwarded_proto="https"), ("unix",))
    assert not is_secure(scope("10.0.0.1", x_forwarded_proto="https"), ("unix",))


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("11.0.0.1", "1.1.1.1", "11.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9|1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "1.1.1.1, junk", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("testclient", "1.1.1.1", None),
    ],
)
def test_the_clients_address_is_the_last_that_no_proxy_of_ours_has(
    client: str, forwarded: str, address: str | None
) -> None:
    assert client_address(scope(client, x_forwarded_for=forwarded), PROXIES) == address


def test_without_proxies_nobody_is_believed_about_addresses() -> None:
    assert client_address(scope("10.0.0.1", x_forwarded_for="1.1.1.1"), ()) == "10.0.0.1"
    assert client_address(scope(None), ()) == "unix"


@pytest.mark.anyio
async def test_whoever_starts_it_is_told_once_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing comes through")

    guarded = AuthMiddleware(app, auth=Auth(make_settings(require_https=True)))
    for _ in range(2):
        assert (await request(guarded, "/", scheme="http")).code == "https_required"
    assert (await connect(guarded, "/", scheme="ws"))[0]["reason"] == "https_required"

    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == (
        "A request over plain HTTP was refused, of which the next ones are not told. For local work set "
        "CALLCOV_AUTH_REQUIRE_HTTPS=false; behind a proxy that ends TLS, name it in "
        "CALLCOV_AUTH_TRUSTED_PROXIES"
    )
