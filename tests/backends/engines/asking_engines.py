"""Asks as the front makes them, and what an engine answers."""

from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Raw

from backends.engines.base import Ask, Engine

CANCEL = "how do I cancel order 123?"


def chat(
    text: str = CANCEL,
    *,
    stream: bool = False,
    choices: int = 1,
    max_tokens: int | None = None,
    adapter: str = "",
    salt: str = "",
    **fields: Any,
) -> Ask:
    """Return an ask for a chat of one message."""
    body = {"model": "desk", "messages": [{"role": "user", "content": text}], **fields}
    return Ask(
        path="/chat/completions",
        fields={name: Raw(msgspec.json.encode(value)) for name, value in body.items()},
        stream=stream,
        wants_usage=stream,
        choices=choices,
        max_tokens=max_tokens,
        adapter=adapter,
        salt=salt,
        request_id="test",
    )


def completion(prompt: str | list[int], **more: Any) -> Ask:
    """Return an ask for a text to be gone on with."""
    ask = chat(**more)
    fields = {name: value for name, value in ask.fields.items() if name != "messages"}
    fields["prompt"] = Raw(msgspec.json.encode(prompt))
    return msgspec.structs.replace(ask, path="/completions", fields=fields)


async def whole(engine: Engine, ask: Ask) -> dict[str, Any]:
    """Return an answer that is no stream."""
    return dict(msgspec.json.decode(await raw(engine, ask)))


async def events(engine: Engine, ask: Ask) -> list[dict[str, Any]]:
    """Return what a stream told; its end is checked."""
    *told, done = [line for line in (await raw(engine, ask)).split(b"\n\n") if line.strip()]
    assert done.strip() == b"data: [DONE]"
    return [msgspec.json.decode(event.removeprefix(b"data: ")) for event in told]


async def raw(engine: Engine, ask: Ask) -> bytes:
    """Return an answer's bytes."""
    reply = await engine.answer(ask)
    async with aclosing(reply.chunks) as chunks:
        return b"".join([piece async for piece in chunks])


def text_of(answer: dict[str, Any], choice: int = 0) -> str:
    """Return what one choice says."""
    told = answer["choices"][choice]
    return str(told["message"]["content"] if "message" in told else told["text"])


def cached(answer: dict[str, Any]) -> int:
    """Return how many tokens of the prompt were not computed."""
    return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
