"""PostgreSQL cut off for half a minute under load, with the bounds that a user has."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import psycopg
import pytest

from callcov_auth import Auth, AuthError
from callcov_auth.cache.feed import TRUSTED_INTERVALS
from callcov_auth.store.lanes import LANE_TIMEOUT
from callcov_auth.store.postgres import CONNECT_TIMEOUT, READ_TIMEOUT
from tests.support.databases import Database
from tests.support.postgres_server import PostgresServer
from tests.support.proxy import Proxy, proxy_to_file
from tests.support.settings import make_settings

pytestmark = [pytest.mark.anyio, pytest.mark.long]

CUT_OFF = 30.0
INTERVAL = 1.0
CLIENTS = 20
# The longest that a request may wait: for its turn, and on a connection that is silent.
LONGEST = LANE_TIMEOUT + max(READ_TIMEOUT, CONNECT_TIMEOUT) + 1.0
BACK_WITHIN = 1.0


@dataclass(slots=True)
class Answers:
    """What was answered, and when, by the kind of key."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    longest: float = 0.0
    good: list[tuple[float, str]] = field(default_factory=list)

    async def ask(self, kind: str, auth: Auth, header: str) -> None:
        began = time.monotonic()
        try:
            outcome = "let in" if (await auth.authenticate(header)).is_authenticated else "wrong"
        except AuthError as refusal:
            outcome = refusal.code
        now = time.monotonic()
        self.longest = max(self.longest, now - began)
        self.outcomes[kind, outcome] += 1
        if outcome == "let in":
            self.good.append((now, kind))


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.hang], ids=["refused", "silent"])
async def test_no_answer_is_wrong_and_the_first_good_one_comes_at_once(
    fault: Callable[[Proxy], None],
    postgres_server: PostgresServer,
    postgres_database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(postgres_database.url)["dbname"]
    answers = Answers()
    with proxy_to_file(str(postgres_server.socket)) as proxy:
        settings = make_settings(
            database_url=f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}",
            revocation_interval=INTERVAL,
            # So that most of the keys are not remembered until they come again.
            cache_size=50,
            max_active_keys=10_000,
        )
        async with Auth(settings) as auth:
            owner = (await auth.users.create("ada@example.com", "a long way to Tipperary")).id
            keys = [await auth.keys.create(owner, name=f"Key {number}") for number in range(200)]
            hot, revoked, *cold = [f"Bearer {key.api_key.get_secret_value()}" for key in keys]
            await auth.authenticate(hot)
            await auth.keys.revoke(keys[1].id)
            cut_at, back_at = await _under_load(
                answers, auth, {"hot": [hot], "revoked": [revoked], "cold": cold}, proxy, fault
            )
    assert answers.outcomes.keys() <= {
        *(("hot", "let in"), ("hot", "auth_unavailable")),
        *(("cold", "let in"), ("cold", "auth_unavailable")),
        *(("revoked", "token_revoked"), ("revoked", "auth_unavailable")),
    }
    meanwhile = [(at, kind) for at, kind in answers.good if cut_at + 0.5 < at < back_at]
    assert meanwhile
    assert max(at for at, _ in meanwhile) <= cut_at + TRUSTED_INTERVALS * INTERVAL + 0.5
    first = min(at for at, _ in answers.good if at >= back_at) - back_at
    with capsys.disabled():
        told = {f"{kind} {outcome}": count for (kind, outcome), count in sorted(answers.outcomes.items())}
        print(f"\nlongest wait {answers.longest:.2f} s, first good answer after {first:.2f} s: {told}")
    assert answers.longest <= LONGEST
    assert first <= BACK_WITHIN


async def _under_load(
    answers: Answers,
    auth: Auth,
    headers: dict[str, list[str]],
    proxy: Proxy,
    fault: Callable[[Proxy], None],
) -> tuple[float, float]:
    is_over = anyio.Event()

    async def client(kind: str, number: int) -> None:
        turn = number
        while not is_over.is_set():
            await answers.ask(kind, auth, headers[kind][turn % len(headers[kind])])
            turn += CLIENTS
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        for kind in headers:
            for number in range(CLIENTS):
                group.start_soon(client, kind, number)
        await anyio.sleep(0.5)
        cut_at = time.monotonic()
        fault(proxy)
        await anyio.sleep(CUT_OFF)
        back_at = time.monotonic()
        proxy.mend()
        await anyio.sleep(3)
        is_over.set()
    return cut_at, back_at
