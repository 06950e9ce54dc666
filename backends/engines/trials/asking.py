"""An engine and token ids -> greedy answers, and what they took.

Asks as the front makes them, without HTTP between: the same for every engine.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from backends.engines.base import Ask, Engine
from backends.engines.trials.base import Timed


def prompts(count: int, tokens: int, *, seed: int, vocabulary: int = 1024) -> list[list[int]]:
    """Return prompts of random tokens, each another and none special."""
    chance = Random(seed)
    return [[chance.randrange(3, vocabulary) for _ in range(tokens)] for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer.

    Attributes:
        cached: tokens of its prompt that were not computed.
        first: what its first chunk took.
        whole: what all of it took.
    """

    text: str
    cached: int
    first: Timed
    whole: Timed


async def answered(
    engine: Engine, prompt: Sequence[int], *, tokens: int, salt: str = "", stream: bool = False
) -> Answered:
    """Return an answer of so many tokens, and what it took."""
    began = clock()
    reply = await engine.answer(_ask(prompt, tokens, salt, stream=stream))
    first, pieces = None, list[bytes]()
    async with aclosing(reply.chunks) as chunks:
        async for chunk in chunks:
            first = first or since(began)
            pieces.append(chunk)
    whole = since(began)
    events = _events(b"".join(pieces)) if stream else [msgspec.json.decode(b"".join(pieces))]
    text = "".join(choice["text"] for event in events for choice in event["choices"])
    cached = next(event["usage"]["prompt_tokens_details"]["cached_tokens"] for event in events if event.get("usage"))
    return Answered(text, cached, first or whole, whole)


def _events(body: bytes) -> list[dict[str, Any]]:
    lines = (line.strip().removeprefix(b"data: ") for line in body.split(b"\n\n"))
    return [msgspec.json.decode(line) for line in lines if line and line != b"[DONE]"]


async def timed(work: Awaitable[object]) -> Timed:
    """Return what some work takes that has not begun."""
    began = clock()
    await work
    return since(began)


async def together(engine: Engine, given: Sequence[Sequence[int]], *, tokens: int) -> list[str]:
    """Return the texts of answers that were asked for at the same time."""
    told = await asyncio.gather(*(answered(engine, prompt, tokens=tokens) for prompt in given))
    return [each.text for each in told]


async def in_turn(engine: Engine, given: Sequence[Sequence[int]], *, tokens: int) -> list[str]:
    """Return the texts of answers that were asked for one after the other."""
    return [(await answered(engine, prompt, tokens=tokens)).text for prompt in given]


def clock() -> Timed:
    """Return now, on the clock and in CPU seconds of this process."""
    return Timed(time.perf_counter(), time.process_time())


def since(began: Timed) -> Timed:
    """Return what has passed."""
    now = clock()
    return Timed(now.wall - began.wall, now.cpu - began.cpu)


def _ask(prompt: Sequence[int], tokens: int, salt: str, *, stream: bool) -> Ask:
    fields = {"prompt": list(prompt), "temperature": 0, "ignore_eos": True}
    return Ask(
        path="/completions",
        fields={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()},
        stream=stream,
        wants_usage=stream,
        choices=1,
        max_tokens=tokens,
        adapter="",
        salt=salt,
        request_id="trial",
    )
