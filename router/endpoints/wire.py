"""Headers and body of a chat request -> a `Request`, or a refusal.

Only what routing needs is read into types; the fields themselves travel on as raw JSON. The order is
that of trust: media type, size, bytes, shape, then meaning.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from classifier.base import Prompt, Turn
from router.base import NOTHING_SPECIAL, BadRequest, Needs, Request, TooLarge, TooSlow, Unsupported
from router.endpoints.routing_headers import wanted_quality, wanted_tier
from router.endpoints.whose import conversation_of, user_of
from router.guards.contents import refuse_addresses
from router.guards.parameters import read_document
from router.guards.schemas import refuse_schemas
from router.model_names import DEFAULT_NAMES, ModelNames
from router.stalled import is_stalled

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Mapping[bytes, bytes]
Kind = TypeVar("Kind")

LEFT = "tandem.left"
"""The ASGI extension of our listener: `future` is done as soon as the caller's connection is lost."""
WHOLE = "tandem.whole"
"""Another one: it is there when the whole body is, so that nothing needs to be waited for."""

ADMITTED = "tandem.admitted"
"""And another: this request was let in already, into the `crowd` that has to be told of its end."""

SINK = "tandem.sink"
"""And another: `sink` takes the rest of a streamed body, once its first piece is sent."""

RELEASE = "tandem.release"
"""And another: `release` lets go of the request's head, once nobody will read it any more."""

MAX_MESSAGES = 2_048
BODY_WITHIN = 10.0  # seconds from the head on
MAX_CALLER_ID = 128  # characters

_PROCESS = os.urandom(5).hex()
_COUNTER = itertools.count()
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_Tokens = Annotated[int, Meta(ge=0, le=1 << 31)]  # what 0 means is the backend's affair
_JSON_KINDS = ("json_object", "json_schema")  # of `response_format`
_FEATURE_OF_PART = {
    "image_url": "vision",
    "input_image": "vision",
    "video_url": "vision",
    "input_audio": "audio",
    "audio_url": "audio",
    "file": "files",
    "input_file": "files",
}


class _Part(Struct):
    type: str
    text: str | None = None


class _Message(Struct):
    role: _Role
    content: str | list[_Part] | None = None
    tool_calls: Any = None
    function_call: Any = None
    tool_call_id: str | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Chat(Struct):
    """The fields of a chat request that routing reads."""

    model: str
    messages: Annotated[list[_Message], Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None
    functions: Any = None
    response_format: Any = None
    logprobs: Any = None
    modalities: Any = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None


async def read_body(receive: Receive, headers: Headers, *, limit: int, is_here: bool = False) -> bytes:
    """Return the whole body.

    Args:
        limit: bytes.
        is_here: it has arrived, so that no time is kept.

    Raises:
        Unsupported: the media type is not JSON, or the body is encoded.
        TooSlow: it does not arrive in time.
        TooLarge: over `limit` bytes; said before it is read where the length is announced.
        ConnectionAbortedError: the caller left before the end.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")
    if media_type[0].strip().lower() != b"application/json" or not _is_utf8(media_type[2]):
        raise Unsupported("send the body as application/json in UTF-8", code="unsupported_media_type")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Unsupported("send the body without a content-encoding", code="unsupported_encoding")
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    if is_here:
        body, _ = await _piece(receive)
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, length, more = list[bytes](), 0, True
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while more:
                piece, more = await _piece(receive)
                parts.append(piece)
                length += len(piece)
                if length > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise TooSlow(f"the body was not sent within {BODY_WITHIN:g} s", code="request_timeout") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionAbortedError("the caller left before the end of the body")
    return message.get("body", b""), message.get("more_body", False)


def read_chat(
    body: bytes,
    headers: Headers,
    *,
    tenant: str,
    received: float,
    timeout: float,
    keep_sampled: bool,
    names: ModelNames = DEFAULT_NAMES,
    addresses: bool = False,
) -> Request:
    """Return the request.

    Args:
        received: `time.monotonic` at the request's first byte.
        timeout: seconds that the whole answer may take.
        keep_sampled: whether an answer drawn with a temperature may be kept for the next equal request.
        names: the models that can be asked for.
        addresses: parts of messages may name what a backend would have to fetch.

    Raises:
        BadRequest: it cannot be understood; `param` says which field.
        UnknownModel: the model is none of ours.
    """
    chat = read_typed(body, _Chat)
    fields = _read_fields(body)
    if not addresses and any(isinstance(message.content, list) for message in chat.messages):
        refuse_addresses(msgspec.json.decode(fields["messages"]))
    if chat.tools or chat.response_format is not None:
        refuse_schemas({"tools": chat.tools, "response_format": chat.response_format}, size=len(body))
    named = names.answering(chat.model)
    prompt = _prompt(chat, tenant)
    return Request(
        id=new_id(),
        caller_id=caller_id(headers),
        tenant=tenant,
        path="/chat/completions",
        model=chat.model,
        wanted=wanted_tier(headers) or named.tier,
        prompt=prompt,
        stream=bool(chat.stream),
        wants_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        fields=fields,
        cacheable=b"x-tandem-no-cache" not in headers
        and (keep_sampled or chat.temperature == 0)
        and chat.n in (None, 1),
        received=received,
        deadline=received + timeout,
        quality=wanted_quality(headers),
        lean=named.lean,
        needs=_needs(chat),
        stalled=is_stalled(prompt.turns, chat.messages),
        user=user_of(fields, tenant),
        conversation=conversation_of(headers, fields, tenant),
    )


def read_typed(body: bytes, kind: type[Kind]) -> Kind:
    """Return the fields of a body that are looked at.

    Raises:
        BadRequest: it is no JSON object, holds what is not allowed, or a field has a wrong shape.
    """
    try:
        return msgspec.convert(read_document(body), kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from error


def new_id() -> str:
    """Return a new id: ordered by time so that the ledger appends, then what no other process or call has."""
    return f"req_{time.time_ns() // 1_000_000:012x}{_PROCESS}{next(_COUNTER) & 0xFFFFFF:06x}"


def caller_id(headers: Headers) -> str:
    """Return the caller's `x-request-id` where it is short, printable ASCII; "" otherwise."""
    sent = headers.get(b"x-request-id", b"")[: MAX_CALLER_ID + 1].decode("latin-1")
    return sent if len(sent) <= MAX_CALLER_ID and sent.isascii() and sent.isprintable() else ""


def _prompt(chat: _Chat, tenant: str) -> Prompt:
    return Prompt(
        turns=tuple(Turn(message.role, _text(message.content)) for message in chat.messages),
        tools=len(chat.tools or ()),
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        tenant=tenant,
    )


def _needs(chat: _Chat) -> Needs:
    """Return what only some backends can do; a field of a shape that we do not know is left to the backend."""
    found: list[str] = []
    for number, message in enumerate(chat.messages):
        if message.role == "tool" and message.tool_call_id is None:
            path = f"messages[{number}].tool_call_id"
            raise BadRequest(f"the field {path} is missing", code="missing_required_parameter", param=path)
        if isinstance(message.content, list):
            found += [_FEATURE_OF_PART[part.type] for part in message.content if part.type in _FEATURE_OF_PART]
    media = len(found)
    if chat.tools or chat.functions:
        found.append("tools")
    if isinstance(chat.response_format, dict) and chat.response_format.get("type") in _JSON_KINDS:
        found.append(chat.response_format["type"])
    if chat.logprobs:
        found.append("logprobs")
    if chat.n is not None and chat.n > 1:
        found.append("several_choices")
    if isinstance(chat.modalities, list) and "audio" in chat.modalities:
        found.append("audio")
    return Needs(frozenset(found), media) if found else NOTHING_SPECIAL


def _text(content: str | list[_Part] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


def refuse_repeated(sent: Sequence[tuple[bytes, bytes]], headers: Headers) -> None:
    """Raise `BadRequest` where one of our own headers came twice: the second would be taken unseen.

    Args:
        sent: all headers.
        headers: the same by name, the last of each.
    """
    if len(sent) == len(headers):
        return
    names = [name for name, _ in sent if name.startswith(b"x-tandem-")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        name = twice.decode("latin-1")
        raise BadRequest(f"{name} came more than once; send it once", code="invalid_value", param=name)


def _is_utf8(parameters: bytes) -> bool:
    name, _, value = parameters.strip().lower().partition(b"=")
    return name != b"charset" or value.strip(b'"') in (b"utf-8", b"utf8")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes", code="body_too_large")


def invalid(error: msgspec.ValidationError) -> BadRequest:
    """Turn msgspec's "Expected `int`, got `str` - at `$.n`" into a refusal with its param."""
    fact, _, where = str(error).partition(" - at `$")
    param = where.rstrip("`").lstrip(".") or None
    if fact.startswith("Object missing required field"):
        name = fact.split("`")[1]
        path = f"{param}.{name}" if param else name
        return BadRequest(f"the field {path} is missing", code="missing_required_parameter", param=path)
    code = "invalid_type" if ", got " in fact else "invalid_value"
    return BadRequest(f"{param or 'the body'} is wrong: {fact[0].lower()}{fact[1:]}", code=code, param=param)
