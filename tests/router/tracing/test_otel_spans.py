"""router/tracing/otel_spans.py: spans reach a collector over HTTP, in OpenTelemetry's protocol."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from router.running.serving import serve_beside
from tests.router.conftest import OpenHouse, chat

pytest.importorskip("opentelemetry.sdk.trace")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

CHAT = "/v1/chat/completions"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@asynccontextmanager
async def collector(*, stalls: bool = False) -> AsyncGenerator[tuple[str, list[Any]], None]:
    """Yield where a collector listens, and the spans that it is sent, each with its resource."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    spans: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if stalls:
            await asyncio.sleep(30)
        sent = ExportTraceServiceRequest.FromString(_unpacked(body, request.headers.get("content-encoding")))
        for resource in sent.resource_spans:
            for scoped in resource.scope_spans:
                spans.extend((resource.resource, span) for span in scoped.spans)
        await Response(b"", 200, media_type="application/x-protobuf")(scope, receive, send)

    async with serve_beside(application, host="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}/v1/traces", spans


def _unpacked(body: bytes, encoding: str | None) -> bytes:
    import gzip  # noqa: PLC0415

    return gzip.decompress(body) if encoding == "gzip" else body


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_a_request_and_its_call_arrive_in_the_callers_trace(open_house: OpenHouse) -> None:
    async with collector() as (endpoint, spans):
        async with open_house(tracing={"endpoint": endpoint, "service": "mine", "share": 0.0}) as house:
            for parent in (f"00-{TRACE}-b7ad6b7169203331-01", "00-nonsense"):
                answer = await house.client.post(CHAT, json=chat(model="mini"), headers={"traceparent": parent})
                assert answer.status_code == 200
        for _ in range(100):
            if spans:
                break
            await asyncio.sleep(0.02)
    assert len(spans) == 2  # of the trace that the caller has sampled alone
    by_kind = {span.kind: span for _, span in spans}
    request, call = by_kind[2], by_kind[3]  # server and client
    assert request.trace_id.hex() == call.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert call.parent_span_id == request.span_id
    assert (request.name, call.name) == ("chat mini", "chat small")
    assert attributes(request)["gen_ai.usage.output_tokens"] == 4
    assert attributes(call)["gen_ai.request.model"] == "small"
    assert request.start_time_unix_nano <= call.start_time_unix_nano < call.end_time_unix_nano
    assert {each.key: each.value.string_value for each in spans[0][0].attributes}["service.name"] == "mine"


async def test_a_collector_that_is_away_or_silent_keeps_nobody_waiting(open_house: OpenHouse) -> None:
    async with collector(stalls=True) as (silent, _):
        for endpoint in ("http://127.0.0.1:1/v1/traces", silent):
            begun = time.monotonic()
            async with open_house(tracing={"endpoint": endpoint}) as house:
                for _ in range(20):
                    assert (await house.client.post(CHAT, json=chat(model="mini"))).status_code == 200
            assert time.monotonic() - begun < 2
