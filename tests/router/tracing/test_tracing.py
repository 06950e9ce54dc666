"""router/tracing/: a span for each request and each call, and nothing where tracing is off.

router/tracing/opening.py, router/tracing/traced_requests.py, router/tracing/wrappers.py, router/tracing/otel_spans.py
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx2
import pytest

from backends.base import Broken, StreamBroken
from router.config.telling import TracingOptions
from router.tracing.base import Span, TracingAway
from router.tracing.opening import open_tracing
from tests.router.conftest import OpenHouse, Served, chat

CHAT = "/v1/chat/completions"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Told:
    """A span that remembers what it is told."""

    called: str
    number: int
    within: Span | None
    headers: Mapping[str, str] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    failure: str | None = None
    ended: list[int] = field(default_factory=list)

    @property
    def traceparent(self) -> str:
        return f"00-{1:032x}-{self.number:016x}-01"

    def name(self, name: str) -> None:
        self.called = name

    def tell(self, attributes: Mapping[str, object]) -> None:
        self.attributes |= {name: value for name, value in attributes.items() if value is not None}

    def fail(self, kind: str) -> None:
        self.failure = kind

    def end(self, at: int = 0) -> None:
        self.ended.append(at)


class Memory:
    """Spans that are sent nowhere."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        self._numbers = count(1)

    def request(self, name: str, headers: Mapping[str, str]) -> Told:
        return self._kept(Told(name, next(self._numbers), None, headers))

    def call(self, name: str, within: Span) -> Told:
        return self._kept(Told(name, next(self._numbers), within))

    def close(self) -> None:
        pass

    def _kept(self, span: Told) -> Told:
        self.spans.append(span)
        return span


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Have the gateway's spans remembered."""
    memory = Memory()

    @asynccontextmanager
    async def opened(_options: TracingOptions) -> AsyncGenerator[Memory, None]:
        yield memory

    monkeypatch.setattr("router.gateway.open_tracing", opened)
    return memory


def is_ended_once(spans: Iterable[Told]) -> bool:
    return all(len(span.ended) == 1 for span in spans)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_fails_over_has_a_span_for_each_call(
    open_house: OpenHouse,
    memory: Memory,
    stream: bool,  # noqa: FBT001 - pytest hands it over
) -> None:
    async with open_house() as house:
        house.mini.failures = [Broken("no", status=500)]
        body = chat("CANARY", stream=stream, stream_options={"include_usage": True} if stream else None)
        answer = await house.client.post(CHAT, json=body, headers={"traceparent": PARENT})
        assert answer.status_code == 200
    request, first, second = memory.spans
    assert request.headers["traceparent"] == PARENT
    assert (request.called, first.called, second.called) == ("chat auto", "chat small", "chat big")
    assert first.within is second.within is request
    assert (first.failure, second.failure, request.failure) == ("Broken", None, None)
    assert second.attributes["server.address"] == "scripted"
    assert [call.traceparent for call in (*house.mini.calls, *house.large.calls)] == [
        first.traceparent,
        second.traceparent,
    ]
    assert second.attributes["server.port"] == 1
    for span in (request, second):
        assert span.attributes["gen_ai.response.model"] == "big"
        assert span.attributes["gen_ai.usage.input_tokens"] == 10
        assert span.attributes["gen_ai.usage.output_tokens"] == 4
    assert request.attributes["tandem.outcome"] == "answered"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["tandem.request_id"] == answer.headers["x-request-id"]
    assert is_ended_once(memory.spans)
    assert "CANARY" not in repr(memory.spans)


async def test_a_stream_that_breaks_and_a_caller_who_leaves_end_every_span(serve_house: Served, memory: Memory) -> None:
    async with serve_house() as house:
        house.mini.breaks_with, whole = StreamBroken("cut"), house.mini.events
        house.mini.events = house.mini.events[:1]
        with pytest.raises(httpx2.RemoteProtocolError):
            await house.client.post(CHAT, json=chat(model="mini", stream=True))
        request, call = memory.spans
        assert call.failure == "StreamBroken"
        assert (request.attributes["tandem.outcome"], request.attributes["error.type"]) == ("broken", "StreamBroken")
        memory.spans.clear()
        house.mini.breaks_with, house.mini.events, house.mini.completion_hangs = None, whole, True
        asking = asyncio.create_task(house.client.post(CHAT, json=chat(model="mini")))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.05)
        request, call = memory.spans
        assert request.attributes["tandem.outcome"] == "hung_up"
    assert is_ended_once(memory.spans)


async def test_what_is_refused_has_a_span_with_its_status_and_what_is_no_request_has_none(
    open_house: OpenHouse, memory: Memory
) -> None:
    async with open_house() as house:
        await house.client.post(CHAT, content=b"{", headers={"content-type": "application/json"})
        await house.client.get("/v1/models")
        await house.client.get("/metrics")
    (span,) = memory.spans
    assert span.attributes["http.response.status_code"] == 400
    assert is_ended_once([span])


async def test_where_tracing_is_off_nothing_is_wrapped(open_house: OpenHouse) -> None:
    async with open_house() as house:
        assert "Traced" not in repr(house.client._transport.app._opened.chat)  # type: ignore[attr-defined]


async def test_without_the_extra_the_gateway_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "router.tracing.otel_spans", raising=False)
    with pytest.raises(TracingAway, match="install the extra otel"):
        async with open_tracing(TracingOptions(endpoint="http://127.0.0.1:1/v1/traces")):
            pass
