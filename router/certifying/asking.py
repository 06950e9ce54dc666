"""Body of a chat request -> what a model says to it, greedily and whole.

A backend that has no room, or fails for a moment, is asked again after a pause. One that refuses the request itself
has said that it cannot serve it. Knows neither cases nor what a reply is worth.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.base import Backend, BackendError, Broken, Call, Overloaded, Rejected
from backends.capabilities import Capabilities
from router.certificate import Identity
from router.certifying.base import SHOWN, NoAnswer, Said

TRIES: Final = 5
PATH: Final = "/chat/completions"

_PAUSE: Final = 1.0  # seconds, where the backend does not say when it has room
_LONGEST_PAUSE: Final = 30.0  # seconds
_REFUSALS: Final = (400, 413, 422)  # of this request; others are of the key, the model or the address
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Model:
    """One of the two models; whoever opened its backend closes it."""

    identity: Identity
    backend: Backend
    can: Capabilities


class _Function(Struct):
    name: str = ""
    arguments: str | None = None


class _ToolCall(Struct):
    function: _Function | None = None


class _Message(Struct):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    message: _Message


class _Usage(Struct):
    prompt_tokens: int = 0


class _Body(Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Fault(Struct):
    message: str = ""


class _Refusal(Struct):
    error: _Fault | None = None


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_refusal: Final = msgspec.json.Decoder(_Refusal).decode


async def ask(model: Model, body: Mapping[str, Any], *, within: float) -> Said:
    """Return the reply.

    Args:
        body: without a model; it is drawn greedily where it does not say otherwise.
        within: seconds for each try.

    Raises:
        NoAnswer: it does not answer, or not in a way that can be read.
    """
    sent = msgspec.json.encode({"temperature": 0, **body, "model": model.identity.model})
    for left in reversed(range(TRIES)):
        call = Call(PATH, sent, stream=False, deadline=time.monotonic() + within, request_id="certify")
        try:
            reply = await model.backend.send(call)
            async with aclosing(reply.chunks) as chunks:
                return _said(b"".join([chunk async for chunk in chunks]))
        except Rejected as error:
            if error.status in _REFUSALS:
                return Said("", refusal=_words(model, error))
            raise NoAnswer(f"{model.identity.tier} refuses every request: {_words(model, error)}") from error
        except BackendError as error:
            if not left:
                raise NoAnswer(f"{model.identity.tier} does not answer: {error or type(error).__name__}") from error
            wait = error.retry_after if isinstance(error, Overloaded) else None
            await asyncio.sleep(min(_LONGEST_PAUSE, _PAUSE if wait is None else wait))
    raise AssertionError("the last try returns or raises")


def _said(body: bytes) -> Said:
    """Return what a whole answer says.

    Raises:
        Broken: it has no message.
    """
    try:
        read = _read_body(body)
    except _UNREADABLE as error:
        raise Broken("the backend answered 2xx with what is no chat completion") from error
    if not read.choices:
        raise Broken("the backend answered without a choice")
    message = read.choices[0].message
    calls = tuple(
        (call.function.name, call.function.arguments or "")
        for call in message.tool_calls or ()
        if call.function is not None
    )
    return Said(message.content or "", calls, 0 if read.usage is None else read.usage.prompt_tokens)


def _words(model: Model, error: Rejected) -> str:
    try:
        told = _read_refusal(error.body).error
    except _UNREADABLE:
        told = None
    said = f"{error.status}" if told is None or not told.message else f"{error.status}, {told.message[:SHOWN]}"
    return f"{model.identity.tier} refuses it: {said}"
