"""The real SDK of OpenTelemetry, with exporters in memory: what a test's Auth told it."""

import gc
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

OURS = "callcov_auth"
# What grows is told since the last look, so that tests do not see one another's.
_DELTA = dict.fromkeys((Counter, ObservableCounter, Histogram), AggregationTemporality.DELTA)


class Told:
    """What was exported under the package's name since the test began, or since the last look."""

    def __init__(self, spans: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        self._spans = spans
        self._reader = reader
        self.shown: list[str] = []
        """All of it as text."""

    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in the order of their ends."""
        ended = self.all_spans()
        return [span for span in ended if scope_of(span) == OURS]

    def all_spans(self) -> list[ReadableSpan]:
        """Those of others too."""
        ended = list(self._spans.get_finished_spans())
        self._spans.clear()
        self.shown += [span.to_json() for span in ended if scope_of(span) == OURS]
        return ended

    def metrics(self) -> dict[str, Metric]:
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            if scope.scope.name == OURS
            for metric in scope.metrics
        ]
        self.shown += [metric.to_json() for metric in found]
        return {metric.name.removeprefix("callcov_auth."): metric for metric in found}

    def values(self, *names: str) -> Any:
        """The values of each metric by its attributes, those that are 0 left out; of histograms the counts.

        With one name, its values alone.
        """
        told = self.metrics()
        each = [values_of(told[name]) if name in told else {} for name in names]
        return each[0] if len(names) == 1 else each


def scope_of(span: ReadableSpan) -> str | None:
    return span.instrumentation_scope.name if span.instrumentation_scope else None


def values_of(metric: Metric) -> dict[Any, float]:
    """By the values of the attributes, in the order of their names: a text where there is one, or a tuple."""
    found: dict[Any, float] = {}
    for point in metric.data.data_points:
        value = getattr(point, "count", None) or getattr(point, "value", 0)
        if value:
            found[_key(point.attributes or {})] = value
    return found


def _key(attributes: Mapping[str, Any]) -> Any:
    values = tuple(attributes[name] for name in sorted(attributes))
    return values[0] if len(values) == 1 else values


@cache
def _exporters() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    # A process sets each provider once.
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader(preferred_temporality=_DELTA)
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
    return spans, reader


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """What OpenTelemetry is told from now on; the leak scan sees it too."""
    found = Told(*_exporters())
    # An Auth of another test's that has a part lost would be counted while it is there.
    gc.collect()
    found.spans()
    found.metrics()
    found.shown.clear()
    yield found
    found.spans()
    found.metrics()
    watch = request.config.pluginmanager.get_plugin("leak-watch")
    for text in found.shown:
        watch.scan.text("telemetry", text)
