"""Each setting that several-services.md and other-issuers.md show takes the tokens that it is for."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from starlette.testclient import TestClient

from callcov_auth import Auth, AuthSettings, Principal
from callcov_auth.errors import AuthError
from tests.cli.running import run_json
from tests.docs.pages import PAGES, assignments, block, blocks_of, run_as_module, under
from tests.support.hosting import network, page
from tests.support.issuers import ABSENT, Party, signer
from tests.support.markdown import ROOT
from tests.support.reader import refusal, set_up

TENANT_ID = "8f2c1d7e-0000-4a3b-9c55-1f0e6a7b2c3d"
API_CLIENT_ID = "3b1e5c90-0000-4d1f-8a66-7c2d9e4f5a6b"


def set_from(monkeypatch: pytest.MonkeyPatch, text: str, **replaced: str) -> None:
    for name, value in assignments(text).items():
        for written, real in replaced.items():
            value = value.replace(written, real)
        monkeypatch.setenv(name, value)


def test_a_service_takes_the_issuers_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    with monkeypatch.context() as at_the_issuer:
        set_from(at_the_issuer, block("several-services.md", "the issuer's .env"), **{"SECRET=…": ""})
        set_up(at_the_issuer)
        tokens = [issued("calls:read")]
        run_json("signing-keys", "add", "--alg", "ES256")
        tokens += [issued("calls:read"), issued("payments:read")]
        key_set = anyio.run(published)

    monkeypatch.delenv("CALLCOV_AUTH_SECRET")
    set_from(monkeypatch, block("several-services.md", "a service's .env"))
    (app,) = [one for one in blocks_of("docs/several-services.md") if one.language == "python"]
    with (
        network({"https://auth.example.com/.well-known/jwks.json": page(key_set)}),
        TestClient(run_as_module(app)["app"]) as client,
    ):
        answers = [client.get("/calls", headers={"Authorization": f"Bearer {token}"}) for token in tokens]
    assert refusal(answers[0]) == (401, "invalid_token")  # signed with the secret
    assert answers[1].json() == {"of": "nightly-report"}
    assert refusal(answers[2]) == (403, "insufficient_permissions")


def issued(scope: str) -> str:
    told: str = run_json("tokens", "issue", "nightly-report", "--scope", scope)["access_token"]
    return told


async def published() -> dict[str, Any]:
    async with Auth(AuthSettings()) as auth:
        return auth.tokens.public_keys()


@dataclass(frozen=True, slots=True)
class Provider:
    """An issuer as it is: what its tokens and its keys look like. ``replaced`` is what a reader fills in."""

    heading: str
    issuer: str
    jwks: str
    audience: Any
    claims: Mapping[str, Any]
    scopes: frozenset[str]
    replaced: Mapping[str, str] = field(default_factory=dict)
    names_alg: bool = True
    more_keys: tuple[Mapping[str, Any], ...] = ()

    def party(self) -> Party:
        return Party(self.issuer, self.audience, "JWT", signer("RS256", self.heading), int(time.time()))

    def token(self, **changes: Any) -> str:
        usual = {"sid": ABSENT, "nbf": ABSENT, "jti": ABSENT, "scope": ABSENT}
        return self.party().token({}, usual | dict(self.claims) | changes)

    def pages(self) -> dict[str, Any]:
        key = self.party().signer.jwk(**({} if self.names_alg else {"alg": ABSENT}))
        metadata = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        return {
            self.jwks: page({"keys": [key, *self.more_keys]}),
            metadata: page({"issuer": self.issuer, "jwks_uri": self.jwks}),
        }


# Keycloak has a key for encryption in its set, too.
ENCRYPTION_KEY = signer("RS256", "encryption").jwk(alg="RSA-OAEP", use="enc")

PROVIDERS = (
    Provider(
        "Auth0",
        "https://acme.eu.auth0.com/",
        "https://acme.eu.auth0.com/.well-known/jwks.json",
        ["https://calls.example.com", "https://acme.eu.auth0.com/userinfo"],
        {"sub": "auth0|5f7c8ec7c33c6c004bbafe82", "azp": "client", "scope": "openid calls:read"},
        frozenset({"openid", "calls:read"}),
        {"TENANT": "acme"},
    ),
    Provider(
        "Keycloak",
        "https://sso.example.com/realms/acme",
        "https://sso.example.com/realms/acme/protocol/openid-connect/certs",
        ["calls", "account"],
        {
            "typ": "Bearer",
            "azp": "client",
            "sid": "4f0c2e",
            "realm_access": {"roles": ["offline_access"]},
            "scope": "profile calls:read",
        },
        frozenset({"profile", "calls:read"}),
        {"REALM": "acme"},
        more_keys=(ENCRYPTION_KEY,),
    ),
    Provider(
        "Entra ID",
        f"https://login.microsoftonline.com/{TENANT_ID}/v2.0",
        f"https://login.microsoftonline.com/{TENANT_ID}/discovery/v2.0/keys",
        API_CLIENT_ID,
        {"oid": "1", "tid": TENANT_ID, "ver": "2.0", "scp": "calls.read calls.write"},
        frozenset({"calls.read", "calls.write"}),
        {"TENANT_ID": TENANT_ID, "API_CLIENT_ID": API_CLIENT_ID},
        names_alg=False,
    ),
    Provider(
        "Google",
        "https://accounts.google.com",
        "https://www.googleapis.com/oauth2/v3/certs",
        "407408718192.apps.googleusercontent.com",
        {"azp": "client", "email": "ada@example.com", "email_verified": True, "hd": "example.com"},
        frozenset(),
        {"CLIENT_ID": "407408718192"},
    ),
)


def authenticated(token: str) -> Principal | str:
    """Return whose token it is, or the reason of its refusal."""

    async def ask() -> Principal | str:
        async with Auth(AuthSettings()) as auth:
            try:
                return await auth.authenticate(f"Bearer {token}")
            except AuthError as error:
                return error.reason

    return anyio.run(ask)


@pytest.fixture(params=PROVIDERS, ids=[provider.heading for provider in PROVIDERS])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Provider:
    found: Provider = request.param
    set_from(monkeypatch, under("other-issuers.md", found.heading, "ini"), **found.replaced)
    return found


def change(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Set one thing of the trusted issuer in another way; None takes it away."""
    (issuer,) = json.loads(os.environ["CALLCOV_AUTH_TRUSTED_ISSUERS"])
    issuer |= changes
    kept = {name: value for name, value in issuer.items() if value is not None}
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([kept]))


def test_a_providers_token_is_taken_with_its_scopes(provider: Provider) -> None:
    with network(provider.pages()):
        caller = authenticated(provider.token())
    assert isinstance(caller, Principal), caller
    assert (caller.issuer, caller.scopes) == (provider.issuer, provider.scopes)


def test_the_keys_are_found_by_discovery_as_well(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, jwks_url=None, discovery=True)
    with network(provider.pages()):
        assert isinstance(authenticated(provider.token()), Principal)


def test_a_token_for_others_is_refused_with_the_reason_that_the_page_names(provider: Provider) -> None:
    with network(provider.pages()):
        reasons = [
            authenticated(provider.token(aud="client")),
            authenticated(provider.token(iss=f"{provider.issuer}x")),
        ]
    assert reasons == ["token_wrong_aud", "token_wrong_iss"]
    assert all(f"`{reason}`" in PAGES["docs/other-issuers.md"] for reason in reasons)


def test_every_reason_of_the_page_is_one() -> None:
    """By the place in the source that has it, for each is made by another room."""
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src/callcov_auth/tokens").glob("*.py"))
    rows = [row for row in PAGES["docs/other-issuers.md"].splitlines() if row.startswith("| `token_")]
    assert len(rows) == 5
    for row in rows:
        assert f'refused("{row.split("`")[1].removeprefix("token_")}")' in source


def test_permissions_of_auth0_and_roles_are_lists() -> None:
    """What the page says to set where scopes are in another claim."""
    for heading, claim in (("Auth0", "permissions"), ("Keycloak", "roles"), ("Entra ID", "roles")):
        provider = next(one for one in PROVIDERS if one.heading == heading)
        with pytest.MonkeyPatch.context() as patch:
            set_from(patch, under("other-issuers.md", heading, "ini"), **provider.replaced)
            change(patch, scope_claim=claim)
            with network(provider.pages()):
                caller = authenticated(provider.token(**{claim: ["calls:read"], "scope": "openid"}))
        assert isinstance(caller, Principal), caller
        assert caller.scopes == {"calls:read"}


def test_an_api_that_marks_its_tokens_refuses_id_tokens() -> None:
    provider = PROVIDERS[0]
    with pytest.MonkeyPatch.context() as patch:
        set_from(patch, under("other-issuers.md", provider.heading, "ini"), **provider.replaced)
        change(patch, token_types=["at+jwt"])
        with network(provider.pages()):
            reason = authenticated(provider.token())
            marked = authenticated(provider.party().token({"typ": "at+jwt"}, {"scope": "calls:read"}))
    assert reason == "token_wrong_typ"
    assert isinstance(marked, Principal)


def test_people_of_one_domain_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = PROVIDERS[3]
    set_from(monkeypatch, under("other-issuers.md", "Google", "ini"), **provider.replaced)
    (shown,) = [one for one in blocks_of("docs/other-issuers.md") if one.language == "python"]
    app = run_as_module(shown)["app"]
    with network(provider.pages()), TestClient(app, base_url="https://api.example.com") as client:

        def ask(**changes: Any) -> httpx2.Response:
            return client.get("/calls", headers={"Authorization": f"Bearer {provider.token(**changes)}"})

        assert ask().json() == {"of": "ada@example.com"}
        for changes in ({"hd": "example.org"}, {"hd": ABSENT}, {"email_verified": False}):
            assert refusal(ask(**changes)) == (403, "insufficient_permissions")
