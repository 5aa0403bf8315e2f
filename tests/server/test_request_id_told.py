"""The request id of a refusal: in the answer, the log, the event, the audit log and the server's span."""

import logging

import anyio
import httpx2
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind
from starlette.middleware import Middleware

from callcov_auth import Auth
from callcov_auth.events import Event, Refused
from callcov_auth.store.protocol import AuditEntry
from callcov_auth.store.sql import SqlStore
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.server.site import make_site
from tests.support.otel import Told
from tests.support.servers import serve


async def audited(database_url: str) -> list[AuditEntry]:
    store = SqlStore(database_url)
    await store.open()
    try:
        return list(await store.audit_entries(after=0, limit=10_000))
    finally:
        await store.aclose()


@pytest.mark.parametrize("sent", ["r-7d44c29e0f3a", None])
def test_the_id_of_a_refusal_is_told_everywhere(
    seeded: Seeded, told: Told, caplog: pytest.LogCaptureFixture, sent: str | None
) -> None:
    seen: list[Event] = []
    settings = seeded.settings.replace(otel=True, on_event=seen.append)
    headers = {"Authorization": f"Bearer {seeded.revoked_key}"} | ({"X-Request-ID": sent} if sent else {})
    site = make_site(Auth(settings), Middleware(OpenTelemetryMiddleware))

    with caplog.at_level(logging.INFO, "callcov_auth"), serve(site) as url:
        answer = httpx2.get(f"{url}/api/v1/analysis/", headers=headers)

    request_id = answer.headers["x-request-id"]
    assert request_id == (sent or request_id)
    assert answer.json()["error"]["request_id"] == request_id
    assert [event.request_id for event in seen if isinstance(event, Refused)] == [request_id]
    (record,) = [each for each in caplog.records if each.getMessage().startswith("refused ")]
    assert f"request_id={request_id!r}" in record.getMessage()
    assert record.callcov_request_id == request_id
    (server,) = [span for span in told.all_spans() if span.kind is SpanKind.SERVER]
    assert (server.attributes or {})["callcov_auth.request_id"] == request_id
    entries = anyio.run(audited, settings.database_url.get_secret_value())
    assert [entry.event for entry in entries if entry.request_id == request_id] == ["refused"]


def test_the_id_that_a_request_brought_is_on_its_spans_and_on_each_of_its_records(
    seeded: Seeded, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(Auth(seeded.settings.replace(otel=True)))
    login = {"email": EMAIL, "password": PASSWORD}

    with caplog.at_level(logging.INFO, "callcov_auth"), serve(site) as url:
        answer = httpx2.post(f"{url}/api/v1/auth/login", json=login, headers={"X-Request-ID": "r-login"})

    assert answer.status_code == 200
    spans = {span.name: (span.attributes or {}).get("callcov_auth.request_id") for span in told.spans()}
    assert {spans[f"callcov_auth.{name}"] for name in ("login", "verify_password", "store.add_session")} == {
        "r-login"
    }
    records = [record for record in caplog.records if hasattr(record, "event")]
    assert [record.event.name for record in records] == ["logged_in"]
    assert [record.callcov_request_id for record in records] == ["r-login"]
