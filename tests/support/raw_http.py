"""HTTP/1.1 in bytes over a plain socket, for requests that an HTTP client would not send."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it stood on the wire; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def header(self, name: str) -> str | None:
        """Return the value of a header that is expected at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def error(self) -> dict[str, Any]:
        """What stands under ``error`` in CallCov's refusal, and nothing beside it."""
        content = json.loads(self.body)
        assert list(content) == ["error"]
        return dict(content["error"])


def ask(base_url: str, path: str, *lines: bytes, method: str = "GET", body: bytes = b"") -> Answer:
    """Send one request with exactly these header lines (and ``Host``), and read its answer to the end."""
    head = [f"{method} {path} HTTP/1.1".encode("ascii"), b"Host: localhost", b"Connection: close", *lines]
    if body and not any(line.lower().startswith(b"transfer-encoding:") for line in lines):
        head.append(b"Content-Length: %d" % len(body))
    return _exchange(base_url, b"\r\n".join([*head, b"", body]))


def bearer(credential: str) -> bytes:
    """Return the header line that carries ``credential``."""
    return b"Authorization: Bearer " + credential.encode("ascii")


def _exchange(base_url: str, request: bytes) -> Answer:
    address = urlsplit(base_url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), TIMEOUT) as connection:
        connection.sendall(request)
        received = bytearray()
        while chunk := connection.recv(65536):
            received += chunk
    return _parsed(bytes(received))


def _parsed(response: bytes) -> Answer:
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    return Answer(int(first.split(" ")[1]), headers, body)
