"""What docs/observation.md says is held to the code, and what it shows is run: on a server, by the SDK."""

import inspect
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from callcov_auth import Auth, events, otel
from callcov_auth.errors import InvalidCredentials
from callcov_auth.events import Event, Refused, emit
from tests.cli.conftest import folder, installation
from tests.cli.running import EMAIL, add_user, run_json
from tests.docs.pages import PAGES, Block, blocks_of, run_as_module, tables_of, under
from tests.support.otel import Told
from tests.support.polling import TIMEOUT, eventually_in_thread
from tests.support.reader import set_up
from tests.support.settings import make_settings

__all__ = ["folder", "installation"]

PAGE = PAGES["docs/observation.md"]
EVENTS, METRICS, ATTRIBUTES, SPANS, QUESTIONS = tables_of("observation.md")
# The kinds of the SDK's data by what the page calls them.
KINDS = {"counter": "Sum", "up-down counter": "Sum", "histogram": "Histogram"}


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def python_under(heading: str) -> Block:
    (block,) = [
        each
        for each in blocks_of("docs/observation.md")
        if (each.heading, each.language) == (heading, "python")
    ]
    return block


def kinds_of_events() -> list[type[Event]]:
    found = [kind for kind in vars(events).values() if inspect.isclass(kind) and issubclass(kind, Event)]
    return [kind for kind in found if kind is not Event]


def test_the_table_of_events_is_the_events() -> None:
    shown = [(*quoted(name), *quoted(level), quoted(named)) for name, level, _, named in EVENTS]
    assert shown == [
        (kind.name, logging.getLevelName(kind.level), [field.name for field in fields(kind)])
        for kind in kinds_of_events()
    ]


def test_an_event_comes_to_the_function_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    namespace = run_as_module(python_under("Events"))
    for event in (events.RefreshReused("usr_1", "ses_1"), events.LoggedOut("ses_1")):
        emit(event, namespace["settings"].on_event)
    assert namespace["alarms"] == ["usr_1"]


def test_every_loss_is_in_the_words_below_the_table() -> None:
    losses = {kind.name for kind in kinds_of_events() if kind.name.endswith("_lost")}
    restored = {kind.name.removesuffix("_restored") + "_lost" for kind in kinds_of_events()} & losses
    assert losses - restored == {"keys_lost", "last_use_lost", "audit_lost"}


@pytest.mark.anyio
async def test_the_tables_of_metrics_spans_and_values_are_what_is_told(told: Told, clock: Any) -> None:
    async with Auth(make_settings(otel=True, rotate_refresh_tokens=True), clock=clock) as auth:
        user = await auth.users.create(EMAIL, "SecurePassword123!")
        with pytest.raises(InvalidCredentials):
            await auth.tokens.login(EMAIL, "wrong")
        pair = await auth.tokens.login(EMAIL, "SecurePassword123!")
        await auth.tokens.refresh(pair.refresh_token.get_secret_value())
        key = await auth.keys.create(user.id, name="k")
        for credential in (key.api_key, pair.access_token):
            for _ in range(2):
                await auth.authenticate(f"Bearer {credential.get_secret_value()}")
        emit(Refused("invalid_token", "key_unknown", "r", None, "GET", "/"), auth.on_event)
        spans, metrics = told.spans(), told.metrics()

    rows = {quoted(name)[0]: row for name, *row in METRICS}
    assert rows.keys() == {f"callcov_auth.{name}" for name in metrics}
    values: dict[str, set[str]] = {}
    for name, metric in metrics.items():
        kind, unit, _, attributes = rows[f"callcov_auth.{name}"]
        points = metric.data.data_points
        told_of = [(each, str(value)) for point in points for each, value in point.attributes.items()]
        assert type(metric.data).__name__ == KINDS[kind]
        assert [metric.unit] == quoted(unit)
        assert getattr(metric.data, "is_monotonic", True) == (kind != "up-down counter")
        assert set(quoted(attributes)) == {each for each, _ in told_of}
        for each, value in told_of:
            values.setdefault(each, set()).add(value)

    named = {quoted(name)[0]: set(quoted(text)) for name, text in ATTRIBUTES}
    assert named.keys() | {"callcov_auth.event"} == values.keys()
    for name in ("outcome", "kind", "operation", "part"):
        assert values[f"callcov_auth.{name}"] <= named[f"callcov_auth.{name}"]
    assert values["callcov_auth.operation"] | {"refresh"} == named["callcov_auth.operation"]
    assert named["callcov_auth.part"] == set(otel.PARTS)
    assert named["callcov_auth.reason"] == {otel.OTHER}
    assert f"past {otel.MAX_REASONS} different ones" in PAGE

    shown = {name for cell, *_ in SPANS for name in quoted(cell)}
    assert {re.sub(r"store\..*", "store.…", span.name) for span in spans} == shown


def test_the_log_is_json_as_shown(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("callcov_auth")
    before = logger.level, list(logger.handlers)
    try:
        namespace = run_as_module(python_under("The log as JSON"))
        with caplog.at_level(logging.INFO, "callcov_auth"):
            refused = Refused(
                "token_revoked", "key_revoked", "r-1", "203.0.113.9", "GET", "/calls", "key_1", "usr_1"
            )
            emit(refused)
            emit(events.KeysFetched("https://a.example", 2, ("key 'x': too short",)))
            try:
                raise ValueError("the sink is full")
            except ValueError:
                logger.exception("on_event failed")
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]
    lines = [json.loads(namespace["handler"].format(record)) for record in caplog.records[-3:]]
    shown = json.loads(under("observation.md", "The log as JSON", "json"))
    assert lines[0] | {"at": 0} == shown | {"at": 0}
    assert list(lines[0]) == list(shown)
    assert shown == {**shown, **asdict(refused)}
    assert (lines[1]["event"], lines[1]["request_id"]) == ("keys_fetched", None)
    assert (lines[2]["message"], "the sink is full" in lines[2]["exception"]) == ("on_event failed", True)


@contextmanager
def served(heading: str, place: Path, **env: str) -> Iterator[tuple[str, Path]]:
    """Run the app under a heading on uvicorn; give its address, and the file of what it prints."""
    (place / "shown.py").write_text(python_under(heading).text)
    output = place / "output"
    command = [sys.executable, "-m", "uvicorn", "shown:app", "--port", "0", "--app-dir", str(place)]
    local = {"CALLCOV_AUTH_REQUIRE_HTTPS": "false", "PYTHONUNBUFFERED": "1"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **local, **env}
        )
    try:
        yield _address(process, output), output
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _address(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        running = re.search(r"running on (http://127\.0\.0\.1:\d+)", output.read_text())
        if running is not None:
            return running[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {output.read_text()}")


def a_key(*scopes: str) -> dict[str, str]:
    add_user(EMAIL, *scopes)
    return {"Authorization": f"Bearer {run_json('keys', 'create', EMAIL, '--name', 'ops')['api_key']}"}


def test_a_trace_goes_where_the_page_sends_it(installation: Path, tmp_path: Path) -> None:
    key = a_key()
    with served("Metrics and traces", tmp_path, OTEL_BSP_SCHEDULE_DELAY="50") as (url, output):
        assert httpx2.get(f"{url}/", headers=key).status_code == 404
        assert httpx2.get(f"{url}/", headers={"X-Request-ID": "r-9"}).status_code == 401
        eventually_in_thread(lambda: '"callcov_auth.request_id": "r-9"' in output.read_text())
        told = output.read_text()
    assert '"callcov_auth.code": "missing_token"' in told
    assert '"name": "callcov_auth.authenticate"' in told


def test_prometheus_finds_what_the_page_asks_for(installation: Path, tmp_path: Path) -> None:
    key = a_key("metrics:read")
    with served("Prometheus", tmp_path) as (url, _):
        assert httpx2.get(f"{url}/metrics").status_code == 401
        for _ in range(3):
            answer = httpx2.get(f"{url}/metrics", headers=key)
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    assert of(samples, "callcov_auth_authentications_total", callcov_auth_outcome="hit") == 2
    missing = {"callcov_auth_reason": "missing_token", "error_type": "missing_token"}
    assert of(samples, "callcov_auth_refusals_total", **missing) == 1
    assert asked_of_prometheus() <= {sample.name for sample in samples}


def of(samples: list[Sample], name: str, **labels: str) -> float:
    (found,) = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    return float(found)


def asked_of_prometheus() -> set[str]:
    queries = " ".join(query for _, query in QUESTIONS)
    names = set(re.findall(r"callcov_auth_\w+", queries)) - asked_for()
    assert len(names) == 5
    return names


def asked_for() -> set[str]:
    """The labels in the page's queries and lines."""
    return set(re.findall(r"(\w+)=\"", PAGE)) | {"callcov_auth_part", "callcov_auth_reason"}


def test_prometheus_is_told_to_bring_a_key() -> None:
    block = under("observation.md", "Prometheus", "yaml")
    (job,) = yaml.safe_load(block)["scrape_configs"]
    assert job["scheme"] == "https"
    assert job["authorization"]["type"] == "Bearer"
