"""Chance -> requests: made by the schema of the wire and then damaged, or a vector with bytes changed.

The same seed and number always give the same bytes. Does no I/O.
"""

import json
import random
from collections.abc import Callable
from typing import Final

from router.bench.faults.vectors import VECTORS, post

PATHS: Final = (
    b"/v1/chat/completions",
    b"/v1/completions",
    b"/v1/responses",
    b"/v1/messages",
    b"/v1/messages/count_tokens",
    b"/v1/embeddings",
    b"/v1/feedback",
    b"/v1/route",
    b"/v1/models",
)
_SHARE_OF_CHAT: Final = 0.6
_MUTATED: Final = 0.5
_TAME: Final = 0.5
_MODELS: Final = ("auto", "mini", "large")
_DEEPEST: Final = 4  # levels of what may be anything
_LONGEST: Final = 60_000  # bytes of a vector that is worth damaging
_TOKENS: Final = (
    b"\r\n", b"\n", b"\0", b"\xff", b"\xed\xa0\x80", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u0000", b"\\ud800",
    b"1e999", b"-0", b"9" * 40, b"NaN", b"null", b"true", b"%00", b"%2f", b"chunked", b"content-length: 0\r\n",
    b"transfer-encoding: chunked\r\n", b"0\r\n\r\n", b"expect: 100-continue\r\n", b"\xf0\x9f\x98\x80",
)  # fmt: skip

Make = Callable[[random.Random], object]


def request(seed: int, number: int) -> bytes:
    """Return the bytes of one request; `{key}` in them stands for a key."""
    rng = random.Random(f"fuzz/{seed}/{number}")
    if _by_chance(rng, _MUTATED):
        vector = rng.choice(_SHORT)
        return damaged(vector.sent, rng)
    body = json.dumps(_document(rng), ensure_ascii=_by_chance(rng, 0.5)).encode("utf-8", "surrogatepass")
    path = PATHS[0] if _by_chance(rng, _SHARE_OF_CHAT) else rng.choice(PATHS)
    if _by_chance(rng, 0.3):
        body = damaged(body, rng)
    sent = post(body, *_headers(rng), target=path)
    return damaged(sent, rng) if _by_chance(rng, 0.15) else sent


_SHORT: Final = tuple(vector for vector in VECTORS if len(vector.sent) <= _LONGEST)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few changes: flipped, cut out, doubled, or something put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, length = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 8, 64))
        match rng.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length]
            case 3:
                changed[at:at] = rng.choice(_TOKENS)
            case _:
                changed[at:at] = rng.randbytes(length)
    return bytes(changed)


def _document(rng: random.Random) -> object:
    """Return a body: a tame one, or each field now and then, with a value of its kind or of any."""
    if _by_chance(rng, _TAME):
        user = {"role": "user", "content": rng.choice(("hi", "What is 2+2?", _text(rng)))}
        odd = rng.choice(tuple(_FIELDS))
        extra = {} if odd == "messages" else {odd: _FIELDS[odd](rng)}
        return {"model": rng.choice(_MODELS), "messages": [user], "stream": _by_chance(rng, 0.5), **extra}
    body: dict[str, object] = {"model": rng.choice((*_MODELS, "gpt-4o", "", None, 7))}
    for name, make in _FIELDS.items():
        if rng.random() < (0.9 if name == "messages" else 0.12):
            body[name] = make(rng) if _by_chance(rng, 0.8) else _anything(rng, 0)
    if _by_chance(rng, 0.1):
        body[_text(rng)] = _anything(rng, 0)
    items = list(body.items())
    rng.shuffle(items)
    return dict(items) if _by_chance(rng, 0.97) else _anything(rng, 0)


def _by_chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _messages(rng: random.Random) -> object:
    return [_message(rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 12)))]


def _message(rng: random.Random) -> object:
    role = rng.choice(("system", "developer", "user", "user", "assistant", "tool", "function", "root", None))
    said: dict[str, object] = {"role": role, "content": rng.choice((_text, _text, _parts, _anything_at_all))(rng)}
    if _by_chance(rng, 0.2):
        call = {"id": _text(rng), "type": "function", "function": {"name": _text(rng), "arguments": _text(rng)}}
        said["tool_calls"] = rng.choice(([call], [], [_anything(rng, 0)], call))
    if _by_chance(rng, 0.2):
        said["tool_call_id"] = _text(rng)
    return said if _by_chance(rng, 0.97) else _anything(rng, 0)


def _parts(rng: random.Random) -> object:
    kinds: tuple[object, ...] = (
        {"type": "text", "text": _text(rng)},
        {
            "type": "image_url",
            "image_url": {"url": rng.choice(("data:image/png;base64,AA==", "http://127.0.0.1/", ""))},
        },
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": _text(rng)},
        _anything(rng, 0),
    )
    return [rng.choice(kinds) for _ in range(rng.randrange(4))]


def _tools(rng: random.Random) -> object:
    schema = {"type": "object", "properties": {_text(rng): _anything(rng, 1)}, "$ref": rng.choice(("#", "#/x", None))}
    return [
        {"type": "function", "function": {"name": _text(rng), "parameters": schema}} for _ in range(rng.randrange(3))
    ]


def _format(rng: random.Random) -> object:
    kind = rng.choice(("text", "json_object", "json_schema", _text(rng)))
    return {"type": kind, "json_schema": {"name": _text(rng), "schema": _anything(rng, 0)}}


def _number(rng: random.Random) -> object:
    return rng.choice((0, 1, 2, -1, 0.5, 1.5, 1e308, -0.0, 2**31, 2**63 - 1, -(2**63), 10**25, True, "1", None))


def _flag(rng: random.Random) -> object:
    return rng.choice((True, False, True, False, None, 0, "true"))


def _anything_at_all(rng: random.Random) -> object:
    return _anything(rng, 0)


def _anything(rng: random.Random, depth: int) -> object:
    """Return a JSON value of any kind."""
    kind = rng.choice("nnnttldd" if depth < _DEEPEST else "nnntt")
    size = rng.choice((0, 1, 2, 3))
    match kind:
        case "n":
            return _number(rng)
        case "t":
            return _text(rng)
        case "l":
            return [_anything(rng, depth + 1) for _ in range(size)]
        case _:
            return {_text(rng): _anything(rng, depth + 1) for _ in range(size)}


def _text(rng: random.Random) -> str:
    """Return a text: a word, or one with characters that break things."""
    odd = (
        "",
        "\0",
        "\ud800",
        "\u202e",
        "a\u0301" * 40,
        "\ufdfa",
        "\U0001f600",
        "../",
        "{{7*7}}",
        "' OR 1=1",
        "\r\nx: y",
    )
    if _by_chance(rng, 0.6):
        return rng.choice(("hi", "name", "What is 2+2?", "model", "text", "user", "max_tokens", "cache_salt"))
    return "".join(rng.choice((*odd, chr(rng.randrange(32, 0x3000)))) for _ in range(rng.choice((1, 1, 3, 20))))


def _headers(rng: random.Random) -> list[bytes]:
    """Return a few headers, of ours and of others, with values that are right or not."""
    names = (
        b"x-request-id", b"x-tandem-tier", b"x-tandem-quality", b"x-tandem-max-cost-usd", b"x-tandem-no-cache",
        b"x-tandem-conversation", b"idempotency-key", b"traceparent", b"expect", b"connection", b"accept", b"te",
        b"upgrade", b"content-encoding", b"accept-encoding", b"x-session-id", b"openai-organization",
        b"anthropic-version", b"x-api-key",
    )  # fmt: skip
    values = (
        b"large",
        b"mini",
        b"0.98",
        b"1e99",
        b"-1",
        b"NaN",
        b"true",
        b"close",
        b"100-continue",
        b"h2c",
        b"x" * 300,
    )
    lines = []
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        value = rng.choice(values) if _by_chance(rng, 0.7) else _text(rng).encode("utf-8", "surrogatepass")
        if not {10, 13, 0} & set(value):
            lines.append(b"%b: %b" % (rng.choice(names), value))
    return lines


_FIELDS: Final[dict[str, Make]] = {
    "messages": _messages,
    "input": _anything_at_all,
    "prompt": _anything_at_all,
    "system": _anything_at_all,
    "stream": _flag,
    "stream_options": lambda rng: {"include_usage": _flag(rng)},
    "max_tokens": _number,
    "max_completion_tokens": _number,
    "temperature": _number,
    "top_p": _number,
    "n": _number,
    "seed": _number,
    "logprobs": _flag,
    "top_logprobs": _number,
    "stop": _anything_at_all,
    "tools": _tools,
    "tool_choice": _anything_at_all,
    "functions": _tools,
    "response_format": _format,
    "modalities": _anything_at_all,
    "metadata": _anything_at_all,
    "user": _text,
    "store": _flag,
    "logit_bias": _anything_at_all,
    "previous_response_id": _text,
    "prompt_cache_key": _text,
    "request_id": _text,
    "score": _number,
    "rating": _text,
}
