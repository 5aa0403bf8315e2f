"""The two services as a client meets them."""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.curl import Reader, steps_of

README = Path(__file__).with_name("README.md")
KEY_SET = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def client(said: Mapping[str, str]) -> Iterator[httpx2.Client]:
    trusting = ssl.create_default_context(cafile=said["CURL_CA_BUNDLE"])
    with httpx2.Client(verify=trusting, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def token(said: Mapping[str, str], client: httpx2.Client) -> str:
    login = {"email": said["EMAIL"], "password": said["PASSWORD"]}
    return str(client.post(f"{said['ISSUER']}/api/v1/auth/login", json=login).json()["access_token"])


def calls(said: Mapping[str, str], client: httpx2.Client, credential: str) -> httpx2.Response:
    return client.get(f"{said['API']}/calls", headers={"Authorization": f"Bearer {credential}"})


def error_of(answer: httpx2.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error"]["code"]


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(README)
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 5


def test_a_token_of_the_issuer_opens_the_other_service(
    said: Mapping[str, str], client: httpx2.Client, token: str
) -> None:
    header = {"Authorization": f"Bearer {token}"}
    me = client.get(f"{said['ISSUER']}/api/v1/users/me", headers=header).json()
    answer = calls(said, client, token)
    assert answer.json() == {"calls": [], "of": me["id"], "by_the_word_of": said["ISSUER"]}


def test_the_token_is_signed_by_the_key_that_is_published(
    said: Mapping[str, str], client: httpx2.Client, token: str
) -> None:
    header = jwt.get_unverified_header(token)
    (published,) = client.get(said["ISSUER"] + KEY_SET).json()["keys"]
    assert (header["alg"], header["kid"]) == ("ES256", published["kid"])
    assert published.keys().isdisjoint({"d", "k"}), "the private half stays where it is"


def test_a_token_of_somebody_elses_key_opens_nothing(
    said: Mapping[str, str], client: httpx2.Client, token: str
) -> None:
    now = int(time.time())
    claims = {**jwt.decode(token, options={"verify_signature": False}), "iat": now, "exp": now + 60}
    header = jwt.get_unverified_header(token)
    forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", header)
    assert error_of(calls(said, client, forged)) == (401, "invalid_token")


def test_the_other_service_lets_in_no_key_and_nobody_without_a_token(
    said: Mapping[str, str], client: httpx2.Client
) -> None:
    assert error_of(client.get(f"{said['API']}/calls")) == (401, "missing_token")
    assert error_of(calls(said, client, said["CALLCOV_API_KEY"])) == (401, "invalid_token")


def test_the_other_service_has_no_login(said: Mapping[str, str], client: httpx2.Client, token: str) -> None:
    header = {"Authorization": f"Bearer {token}"}
    assert client.post(f"{said['API']}/api/v1/api-keys/", headers=header).status_code == 404


def test_the_other_service_is_told_nothing_secret(said: Mapping[str, str]) -> None:
    told = own_settings(said["API"])
    assert set(told) == {"CALLCOV_AUTH_ACCEPT", "CALLCOV_AUTH_TRUSTED_ISSUERS"}
    (trusted,) = json.loads(told["CALLCOV_AUTH_TRUSTED_ISSUERS"])
    assert set(trusted) == {"issuer", "audience", "jwks_url", "algorithms"}


def own_settings(url: str) -> dict[str, str]:
    """Return the settings in the environment of the process that serves ``url``."""
    port = url.rpartition(":")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().decode().split("\0")
            environment = (process / "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "examples.two_services.calls:app" in arguments and port in arguments:
            pairs = (line.partition("=") for line in environment)
            return {name: value for name, _, value in pairs if name.startswith("CALLCOV_AUTH_")}
    raise AssertionError("the process is not there")
