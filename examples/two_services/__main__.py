"""Start both: ``python -m examples.two_services``.

The issuer is ``callcov-auth serve``, and calls.py trusts it.
"""

import json
import secrets
from contextlib import suppress
from pathlib import Path

import anyio

from callcov_auth import Auth, AuthSettings
from callcov_auth.demo.certificate import Certificate, make_certificate
from examples.development import HOST, Rights, asked_port, make_user, need, show, surroundings, variables
from examples.programs import Program, python, run, take_ports

AUDIENCE = "calls"
ALGORITHM = "ES256"
# The user has scopes of which the calls know nothing.
RIGHTS = Rights(user=("calls:read", "reports:read"), key=("calls:read",))


def main() -> None:
    port = asked_port()
    with surroundings() as folder, suppress(KeyboardInterrupt):
        need("uvicorn", "httpx2", extras="server,client")
        verifying, issuing = take_ports(port, 0)
        issuer, calls = f"https://{HOST}:{issuing}", f"https://{HOST}:{verifying}"
        certificate = make_certificate(folder)
        settings = issuer_settings(issuer, folder)
        said = {"CURL_CA_BUNDLE": str(certificate.certificate), "ISSUER": issuer, "API": calls}
        said |= anyio.run(prepare, settings)
        run(
            Program(issuer_command(issuing, certificate), issuing, variables(**settings)),
            Program(calls_command(verifying, certificate), verifying, calls_environment(issuer, certificate)),
            say=lambda: show(said),
        )


def issuer_settings(issuer: str, folder: Path) -> dict[str, str]:
    """Return what the issuer is set to. Its secret seals the signing keys in its database."""
    return {
        "secret": secrets.token_urlsafe(48),
        "database_url": f"sqlite:///{folder / 'issuer.db'}",
        "issuer": issuer,
        "audience": AUDIENCE,
    }


def calls_environment(issuer: str, certificate: Certificate) -> dict[str, str]:
    """Return what the other service is set to: whom it trusts, and nothing that is secret."""
    trusted = {
        "issuer": issuer,
        "audience": AUDIENCE,
        "jwks_url": f"{issuer}/.well-known/jwks.json",
        "algorithms": [ALGORITHM],
    }
    return {
        **variables(accept="token", trusted_issuers=json.dumps([trusted])),
        # Because the certificate is made here; one of a public authority needs no word.
        "SSL_CERT_FILE": str(certificate.certificate),
    }


async def prepare(settings: dict[str, str]) -> dict[str, str]:
    """Do as ``callcov-auth signing-keys add`` and ``users add`` do, and return how to be the user."""
    async with Auth(AuthSettings(**settings)) as auth:
        # At once, for nobody has fetched a key set yet that lacks it.
        await auth.signing_keys.add(ALGORITHM, signs_in=0)
        return await make_user(auth, RIGHTS)


def issuer_command(port: int, certificate: Certificate) -> tuple[str, ...]:
    return python("callcov_auth", "serve", *_listening(port, certificate))


def calls_command(port: int, certificate: Certificate) -> tuple[str, ...]:
    options = ("--no-proxy-headers", "--log-level", "warning", *_listening(port, certificate))
    return python("uvicorn", "examples.two_services.calls:app", *options)


def _listening(port: int, certificate: Certificate) -> tuple[str, ...]:
    files = ("--ssl-certfile", str(certificate.certificate), "--ssl-keyfile", str(certificate.key))
    return ("--host", HOST, "--port", str(port), *files)


main()
