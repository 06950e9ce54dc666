"""Answers to one prompt -> one answer with several choices, or with probabilities in the form of its endpoint.

llama.cpp's server counts the tokens of one choice only, tells the usage once for each, and gives completions the
probabilities of chats. So each choice is an answer of its own, and they are put together here. An answer with one
choice and no such probabilities never comes by: its bytes are not touched.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from backends.base import Chunks, Reply, StreamBroken
from backends.engines.base import CHAT, Ask

Opening = Callable[[], Awaitable[Reply]]

_DONE: Final = b"[DONE]"
_MAX_AHEAD: Final = 64  # pieces that wait for a slow reader
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


async def put_together(ask: Ask, openings: Sequence[Opening]) -> Reply:
    """Return one reply for all choices, as soon as the first of them begins.

    Raises:
        EngineError: one of them was refused; the others are given up.
    """
    together = _Together(ask, openings)
    try:
        first = await together.begin()
    except BaseException:
        await together.aclose()
        raise
    return Reply(chunks=together, media_type=first.media_type, replica=first.replica)


class _Together(Chunks):
    """The pieces of one reply; each choice is read by a task of its own."""

    __slots__ = ("_ask", "_frame", "_left", "_offsets", "_opened", "_pieces", "_tasks", "_usages", "_wholes")

    def __init__(self, ask: Ask, openings: Sequence[Opening]) -> None:
        self._ask = ask
        self._pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue(_MAX_AHEAD)
        self._opened: asyncio.Queue[Reply | Exception] = asyncio.Queue()
        self._frame: dict[str, Any] = {}  # what all chunks of a stream say alike: id, model and so on
        self._usages: list[dict[str, Any]] = []
        self._wholes: dict[int, dict[str, Any]] = {}
        self._offsets = [0] * len(openings)  # characters of each choice that have been told with probabilities
        self._left = len(openings)
        self._tasks = [asyncio.create_task(self._read(index, opening)) for index, opening in enumerate(openings)]

    async def begin(self) -> Reply:
        """Return the first reply; where choices come whole, once all are there."""
        first = await self._take_opened()
        if not self._ask.stream:
            for _ in self._tasks[1:]:
                await self._take_opened()
        return first

    async def __anext__(self) -> bytes:
        if self._left == 0 and self._pieces.empty():
            raise StopAsyncIteration
        piece = await self._pieces.get()
        if isinstance(piece, Exception):
            await self.aclose()
            raise piece
        return piece

    async def aclose(self) -> None:
        """Leave all answers that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._left = 0
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def _take_opened(self) -> Reply:
        opened = await self._opened.get()
        if isinstance(opened, Exception):
            raise opened
        return opened

    async def _read(self, index: int, opening: Opening) -> None:
        """Read one answer to its end; what goes wrong is told to whoever reads."""
        try:
            reply = await opening()
            self._opened.put_nowait(reply)
            async with aclosing(reply.chunks) as chunks:
                if self._ask.stream:
                    await self._read_events(index, chunks)
                else:
                    self._wholes[index] = _decode(b"".join([piece async for piece in chunks]))
        except Exception as error:  # noqa: BLE001 - it is raised again where the reader waits
            self._opened.put_nowait(error)
            await self._pieces.put(error)
            return
        last = self._left == 1
        if last:
            await self._pieces.put(self._end())
        self._left -= 1

    async def _read_events(self, index: int, chunks: AsyncGenerator[bytes, None]) -> None:
        held = b""
        async for piece in chunks:
            *events, held = (held + piece).split(b"\n\n")
            passed = b"".join([self._event(index, event) for event in events])
            if passed:
                await self._pieces.put(passed)
        if held.strip():
            raise StreamBroken("an answer's stream ended within an event")

    def _event(self, index: int, event: bytes) -> bytes:
        payload = event.strip().removeprefix(b"data:").strip()
        if not payload or payload == _DONE or payload.startswith(b":"):
            return b""
        chunk: dict[str, Any] = _decode(payload)
        if "error" in chunk:
            return b"data: %b\n\n" % payload
        usage = chunk.pop("usage", None)
        if usage is not None:
            self._usages.append(usage)
        chunk.pop("timings", None)
        if not self._frame:
            self._frame = {name: value for name, value in chunk.items() if name != "choices"}
        chunk.update(self._frame)
        if not chunk["choices"]:
            return b""
        for choice in chunk["choices"]:
            choice["index"] = index
            self._reshape(choice)
        return b"data: %b\n\n" % _encode(chunk)

    def _end(self) -> bytes:
        if self._ask.stream:
            told = {**self._frame, "choices": [], "usage": _summed(self._usages)}
            usage = b"data: %b\n\n" % _encode(told) if self._ask.wants_usage and self._usages else b""
            return usage + b"data: [DONE]\n\n"
        wholes = [self._wholes[index] for index in sorted(self._wholes)]
        choices = []
        for index, whole in enumerate(wholes):
            choice = whole["choices"][0]
            choice["index"] = index
            self._reshape(choice)
            choices.append(choice)
        first = {name: value for name, value in wholes[0].items() if name != "timings"}
        return _encode({**first, "choices": choices, "usage": _summed([whole["usage"] for whole in wholes])})

    def _reshape(self, choice: dict[str, Any]) -> None:
        """Give a completion's probabilities the form that this endpoint has."""
        told = choice.get("logprobs")
        if self._ask.path == CHAT or not told or "content" not in told:
            return
        tokens, offsets, at = told["content"], [], self._offsets[choice["index"]]
        for token in tokens:
            offsets.append(at)
            at += len(token["token"])
        self._offsets[choice["index"]] = at
        choice["logprobs"] = {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [_likeliest(token["top_logprobs"]) for token in tokens],
            "text_offset": offsets,
        }


def _likeliest(told: list[dict[str, Any]]) -> dict[str, float]:
    """Return logprobs by text; parts of characters are written alike, and then the likeliest stands for all."""
    return {top["token"]: top["logprob"] for top in reversed(told)}


def _summed(usages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what all choices used: the prompt counts once, and is as cached as where it was cached least."""
    prompt = usages[0]["prompt_tokens"]
    output = sum(usage["completion_tokens"] for usage in usages)
    cached = min(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    return {
        "completion_tokens": output,
        "prompt_tokens": prompt,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
