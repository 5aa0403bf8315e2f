"""Fifty clients at once on one refresh token, over two servers: does a family ever fork?

    python -m benchmarks.refresh_race [--rounds N] [--clients N] [--grace SECONDS]
        [--database sqlite|postgres]

Two ``callcov-auth serve`` processes on one database, refresh tokens rotating and access tokens revocable. In
each round a user logs in, all clients refresh with that login's token at the same moment, half of them at
each server, and then all again with what each of them got. After the last round and the grace every family's
first token is stolen: it is sent to one server, while the other is asked with the access token until it
refuses it.

It must hold that no client inside the grace is refused, that all who ask together are given one generation,
which is the newest, and that a stolen token ends its family everywhere within the promise: at once where
it was sent, and within ``revocation_interval`` and a half elsewhere. The exit code is 1 where it does not.
"""

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import median
from threading import Barrier, local
from typing import Any

import anyio

from benchmarks.harness.samples import percentile
from benchmarks.sites import DATABASES, database
from callcov_auth import Auth, AuthSettings
from callcov_auth.settings import ENV_PREFIX
from callcov_auth.tokens.families import GENERATION

INTERVAL = 1.0
# Of the interval, for the poll itself and for the way of two requests.
PROMISE = 1.5 * INTERVAL
START_TIMEOUT, TIMEOUT = 30.0, 30.0
PASSWORD = secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str = field(repr=False)
    refresh: str = field(repr=False)

    @property
    def generation(self) -> int:
        payload = self.refresh.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return int(claims.get(GENERATION, 0))


@dataclass(slots=True)
class Findings:
    """What was seen; times in seconds."""

    asked: int = 0
    refused: list[str] = field(default_factory=list)
    forked: list[str] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    died_after: list[float] = field(default_factory=list)

    @property
    def hold(self) -> bool:
        wrong = self.refused or self.forked or self.alive
        return not wrong and bool(self.died_after) and max(self.died_after) <= PROMISE


class Client:
    """Asks a server over connections that stay open, one for each thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = local()
        self._opened: list[HTTPConnection] = []

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def post(self, path: str, content: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return self._ask("POST", f"/api/v1/auth/{path}", json.dumps(content), {})

    def me(self, access: str) -> tuple[int, dict[str, Any]]:
        return self._ask("GET", "/api/v1/users/me", None, {"Authorization": f"Bearer {access}"})

    def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
            self._opened.append(connection)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@dataclass(slots=True)
class Race:
    """Runs the rounds, and keeps each family's first tokens for the thief."""

    servers: Sequence[Client]
    clients: int
    threads: ThreadPoolExecutor
    findings: Findings = field(default_factory=Findings)
    families: list[tuple[Tokens, Tokens]] = field(default_factory=list)

    def run_round(self, email: str) -> None:
        status, answer = self.servers[0].post("login", {"email": email, "password": PASSWORD})
        if status != 200:
            raise RuntimeError(f"the login was answered with {status}")
        first = _tokens(answer)
        seconds = self._all_at_once([first] * self.clients)
        thirds = self._all_at_once(seconds)
        if thirds:
            self.families.append((first, thirds[0]))

    def _all_at_once(self, held: Sequence[Tokens]) -> list[Tokens]:
        """Let each client refresh with what it holds, and return what each got, all of one generation."""
        if not held:
            return []
        together = Barrier(len(held))
        asked = [self.threads.submit(self._refresh, together, each, at) for at, each in enumerate(held)]
        got = [each.result() for each in asked]
        given = [tokens for tokens in got if tokens is not None]
        generations = {tokens.generation for tokens in given}
        if generations != {held[0].generation + 1}:
            self.findings.forked.append(f"{sorted(generations)} after {held[0].generation}")
        return given

    def _refresh(self, together: Barrier, held: Tokens, number: int) -> Tokens | None:
        together.wait(TIMEOUT)
        began = time.perf_counter()
        status, answer = self.servers[number % 2].post("refresh", {"refresh_token": held.refresh})
        self.findings.took.append(time.perf_counter() - began)
        self.findings.asked += 1
        if status == 200:
            return _tokens(answer)
        self.findings.refused.append(_code(status, answer))
        return None

    def steal(self) -> None:
        """Use every family's first token again, and see the family die on both servers."""
        for server in self.servers:
            # They have closed what was idle during the grace.
            server.close()
        for number, (first, newest) in enumerate(self.families):
            here, there = self.servers[number % 2], self.servers[1 - number % 2]
            # A moment ago both servers knew the caller, so that the one must hear it from the other.
            if here.me(newest.access)[0] != 200 or there.me(newest.access)[0] != 200:
                self.findings.refused.append("access token before the theft")
            self._expect("token_revoked", here.post("refresh", {"refresh_token": first.refresh}))
            stolen_at = time.monotonic()
            self._expect("token_revoked", here.me(newest.access))
            for server in (here, there):
                self._expect("token_revoked", server.post("refresh", {"refresh_token": newest.refresh}))
            self.findings.died_after.append(_seconds_until_refused(there, newest.access, stolen_at))

    def _expect(self, code: str, answer: tuple[int, dict[str, Any]]) -> None:
        got = _code(*answer)
        if got != code:
            self.findings.alive.append(got)


def _seconds_until_refused(server: Client, access: str, since: float) -> float:
    while _code(*server.me(access)) != "token_revoked":
        if time.monotonic() > since + 10 * PROMISE:
            return float("inf")
        time.sleep(0.005)
    return time.monotonic() - since


def _tokens(answer: dict[str, Any]) -> Tokens:
    return Tokens(answer["access_token"], answer["refresh_token"])


def _code(status: int, answer: dict[str, Any]) -> str:
    return str(answer.get("error", {}).get("code", status))


def race(environment: dict[str, str], rounds: int, clients: int, grace: float) -> Findings:
    """Run it on the database that ``environment`` names."""
    email = f"racer-{secrets.token_hex(8)}@example.com"
    _configured(environment, lambda auth: auth.users.create(email, PASSWORD))
    with ExitStack() as stack:
        ports = [stack.enter_context(_serving(environment)) for _ in range(2)]
        servers = [stack.enter_context(closing(Client(port))) for port in ports]
        threads = stack.enter_context(ThreadPoolExecutor(clients))
        running = Race(servers, clients, threads)
        for number in range(rounds):
            running.run_round(email)
            _progress(number + 1, rounds)
        time.sleep(grace)
        running.steal()
    return running.findings


def _configured(environment: dict[str, str], work: Callable[[Auth], Any]) -> None:
    async def opened() -> None:
        async with Auth(AuthSettings(_env_file=None)) as auth:
            await work(auth)

    before = dict(os.environ)
    os.environ.update(environment)
    try:
        anyio.run(opened)
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _serving(environment: dict[str, str]) -> Iterator[int]:
    """Start ``callcov-auth serve`` and give its port."""
    command = [sys.executable, "-m", "callcov_auth", "serve", "--port", "0"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, **environment})  # noqa: S603
        try:
            yield _port(process, said)
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def _port(process: "subprocess.Popen[bytes]", said: Any) -> int:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        said.seek(0)
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", said.read())
        if found is not None:
            return int(found[1])
        time.sleep(0.02)
    said.seek(0)
    raise RuntimeError(f"the server did not start: {said.read()[-2000:]}")


def report(findings: Findings) -> bool:
    """Print the figures. Whether all of it holds."""
    took, died = sorted(findings.took), sorted(findings.died_after)
    print(f"refreshes, half of them at each server          {findings.asked:,}")
    print(f"  p50 / p99 / worst                             {_ms(took)}")
    print(f"refused inside the grace (0)                    {_counted(findings.refused)}")
    print(f"rounds with more than one generation (0)        {_counted(findings.forked)}")
    print(f"families whose first token was stolen           {len(died):,}")
    print(f"tokens alive where the thief was caught (0)     {_counted(findings.alive)}")
    print(f"dead at the other server after p50 / p99 / worst {_ms(died)} (at most {PROMISE * 1000:.0f} ms)")
    print("holds" if findings.hold else "DOES NOT HOLD")
    return findings.hold


def _ms(sample: Sequence[float]) -> str:
    if not sample:
        return "none"
    return (
        " / ".join(f"{each * 1000:.0f}" for each in (median(sample), percentile(sample, 0.99), sample[-1]))
        + " ms"
    )


def _counted(seen: Sequence[str]) -> str:
    return f"{len(seen)} {sorted(set(seen))}" if seen else "0"


def _progress(done: int, rounds: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {rounds} rounds", end="\n" if done == rounds else "", file=sys.stderr, flush=True)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fifty clients at once on one refresh token.")
    parser.add_argument("--rounds", type=int, default=200, help="how many families")
    parser.add_argument("--clients", type=int, default=50, help="how many ask at once")
    parser.add_argument("--grace", type=float, default=10, help="refresh_grace, in seconds")
    parser.add_argument("--database", choices=DATABASES, default="sqlite", help="made for this run")
    parser.add_argument("--redis-url", help="to push what was ended; without it, the other server polls")
    arguments = parser.parse_args(given)
    if min(arguments.rounds, arguments.clients) < 1:
        parser.error("--rounds and --clients are at least 1")
    return arguments


def _environment(arguments: argparse.Namespace, database_url: str) -> dict[str, str]:
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": database_url,
        "rotate_refresh_tokens": "true",
        "refresh_grace": str(arguments.grace),
        "revocable_access_tokens": "true",
        "revocation_interval": str(INTERVAL),
        "require_https": "false",
        # Two hundred thieves from one address are refused more often than one address may be.
        "failure_rate": "none",
        # What is measured is no login.
        "password_time_cost": "1",
        "password_memory_kib": "8",
    }
    if arguments.redis_url:
        values["redis_url"] = arguments.redis_url
    return {f"{ENV_PREFIX}{name.upper()}": value for name, value in values.items()}


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    with database(arguments.database) as url:
        environment = _environment(arguments, url)
        findings = race(environment, arguments.rounds, arguments.clients, arguments.grace)
    return 0 if report(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
