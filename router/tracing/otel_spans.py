"""Spans by OpenTelemetry's own packages, sent over HTTP in batches by a thread of theirs.

The only file that needs the extra "otel".
"""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from router.tracing.base import Span

SEND_WITHIN: Final = 5  # seconds for one message to the collector


class OtelSpan:
    """See `router.tracing.base.Span`."""

    def __init__(self, span: Any) -> None:  # noqa: ANN401 - of a package that may be absent
        self.span = span

    @property
    def traceparent(self) -> str:
        """Return its place in the trace."""
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def name(self, name: str) -> None:
        """Give it another name."""
        self.span.update_name(name)

    def tell(self, attributes: Mapping[str, object]) -> None:
        """Add attributes."""
        self.span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def fail(self, kind: str) -> None:
        """Say that it failed."""
        self.span.set_status(StatusCode.ERROR)
        if kind:
            self.span.set_attribute("error.type", kind)

    def end(self, at: int = 0) -> None:
        """Hand it over."""
        self.span.end(at or None)


class OtelSpans:
    """See `router.tracing.base.Spans`.

    Args:
        endpoint: of the collector.
        share: of the traces that begin here.
    """

    def __init__(self, endpoint: str, *, service: str, share: float) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_WITHIN)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tandem")
        self._propagator = TraceContextTextMapPropagator()

    def request(self, name: str, headers: Mapping[str, str]) -> OtelSpan:
        """Return the span of a request."""
        return OtelSpan(self._tracer.start_span(name, self._propagator.extract(headers), kind=SpanKind.SERVER))

    def call(self, name: str, within: Span) -> OtelSpan:
        """Return the span of a call."""
        place = self._propagator.extract({"traceparent": within.traceparent})
        return OtelSpan(self._tracer.start_span(name, place, kind=SpanKind.CLIENT))

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()
