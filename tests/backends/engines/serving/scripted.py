"""An engine whose every answer a test writes, what it was asked, and the server before it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from backends.base import Reply
from backends.engines.base import Ask, Load
from backends.engines.serving.admission import Admission
from backends.engines.serving.app import EngineApp
from backends.engines.serving.metrics import Metrics

Script = Callable[[Ask], AsyncGenerator[bytes, None]]


def event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chunk(text: str, *, index: int = 0, reason: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": reason}]})


def usage(prompt: int = 5, cached: int = 2, output: int = 3) -> dict[str, Any]:
    details = {"cached_tokens": cached}
    return {"prompt_tokens": prompt, "completion_tokens": output, "prompt_tokens_details": details}


DONE = b"data: [DONE]\n\n"
IDLE = Load(running=0, waiting=0, kv_used=0.0)
USAGE = event({"choices": [], "usage": usage()})


async def fluent(ask: Ask) -> AsyncGenerator[bytes, None]:
    """Say "a b c", to each choice alike."""
    if not ask.stream:
        choices = [
            {"index": i, "message": {"role": "assistant", "content": "a b c"}, "finish_reason": "stop"}
            for i in range(ask.choices)
        ]
        yield json.dumps({"choices": choices, "usage": usage(output=3 * ask.choices)}).encode()
        return
    for piece in ("a", " b", " c"):
        for index in range(ask.choices):
            yield chunk(piece, index=index)
    for index in range(ask.choices):
        yield chunk("", index=index, reason="stop")
    if ask.wants_usage:
        yield USAGE
    yield DONE


async def endless(ask: Ask) -> AsyncGenerator[bytes, None]:
    """Go on until somebody stops it; an unstreamed answer never comes."""
    while True:
        if ask.stream:
            yield chunk("a")
        await asyncio.sleep(0.002)


async def breaking(ask: Ask) -> AsyncGenerator[bytes, None]:
    """Say one word and end without a reason."""
    yield chunk("a")


@dataclass
class ScriptedEngine:
    """An engine of no weights.

    Attributes:
        script: gives an answer's pieces.
        asks: what it was asked.
        open_replies: answers that are under way.
        error: raised instead of an answer.
    """

    script: Script = fluent
    context: int = 100
    longest_token: int = 4
    tokens: int = 10
    asks: list[Ask] = field(default_factory=list)
    open_replies: int = 0
    error: Exception | None = None
    healthy: bool = True
    closed: bool = False
    counted: int = 0
    busy: Load = IDLE
    figures: dict[str, float] = field(default_factory=dict)

    async def start(self) -> None:
        return

    async def count(self, ask: Ask) -> int:
        self.counted += 1
        return self.tokens

    async def answer(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        if self.error is not None:
            raise self.error
        return Reply(self._pieces(ask), "text/event-stream" if ask.stream else "application/json", "scripted")

    async def tokenize(self, text: str) -> Sequence[int]:
        return list(text.encode())

    async def is_healthy(self) -> bool:
        return self.healthy

    def load(self) -> Load:
        return self.busy

    def gauges(self) -> dict[str, float]:
        return self.figures

    async def aclose(self) -> None:
        self.closed = True

    async def _pieces(self, ask: Ask) -> AsyncGenerator[bytes, None]:
        self.open_replies += 1
        try:
            async for piece in self.script(ask):
                yield piece
        finally:
            self.open_replies -= 1


@dataclass
class Front:
    """A server that runs, and a client that asks it."""

    app: EngineApp
    admission: Admission
    metrics: Metrics
    port: int
    client: httpx2.AsyncClient


Open = Callable[..., Awaitable[Front]]
