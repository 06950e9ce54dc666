"""The body of an answer -> what its caller makes of it: complete, broken, an error, and whose it was."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from router.bench.faults.base import OK, Got

_ERROR: Final = {"message", "type", "param", "code"}
_PIECE: Final = re.compile(r"([\w-]+)#(\d+)(end)?")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one body says.

    Attributes:
        origin: id of the request whose answer this is; "" where it says none.
        is_complete: every piece of the text is there, and what ends an answer of its kind.
        error: code of the error that it is, or that ends it; "" where there is none.
        has_shape: an error of ours has the shape that every error has; true where there is none.
        usage: prompt, cached and completion tokens; None where it tells none.
    """

    origin: str
    is_complete: bool
    error: str = ""
    has_shape: bool = True
    usage: tuple[int, int, int] | None = None


def read(got: Got) -> Seen:
    """Return what an answer of any status says; never raises."""
    if got.status != OK:
        return _read_error(got.body)
    return _read_stream(got.body) if got.asked.stream else _read_whole(got.body)


def _read_error(body: bytes) -> Seen:
    try:
        error = json.loads(body)["error"]
        return Seen("", is_complete=False, error=str(error["code"]), has_shape=set(error) == _ERROR)
    except (ValueError, KeyError, TypeError):
        return Seen("", is_complete=False, error="?", has_shape=False)


def _read_whole(body: bytes) -> Seen:
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    except (ValueError, KeyError, TypeError, IndexError):
        return Seen("", is_complete=False)
    origin, is_gapless = _pieces(text)
    return Seen(origin, is_complete=is_gapless and reason is not None, usage=_usage(document))


def _read_stream(body: bytes) -> Seen:
    text, finished, done, error, shaped, usage = "", False, False, "", True, None
    for event in re.split(rb"(?:\r\n|\n|\r){2}", body):
        payload = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        if payload == b"[DONE]":
            done = True
            continue
        try:
            chunk = json.loads(payload)
        except ValueError:
            continue
        if not isinstance(chunk, dict):
            continue
        if "error" in chunk:
            error = str(chunk["error"].get("code", "?")) if isinstance(chunk["error"], dict) else "?"
            shaped = isinstance(chunk["error"], dict) and set(chunk["error"]) == _ERROR
        usage = _usage(chunk) or usage
        for choice in chunk.get("choices") or ():
            text += (choice.get("delta") or {}).get("content") or ""
            finished = finished or choice.get("finish_reason") is not None
    origin, is_gapless = _pieces(text)
    is_complete = is_gapless and finished and done and not error
    return Seen(origin, is_complete=is_complete, error=error, has_shape=shaped, usage=usage)


def _pieces(text: str) -> tuple[str, bool]:
    """Return whose pieces they are, and whether they are all there, in their order and of one call."""
    found = _PIECE.findall(text)
    if not found:
        return "", False
    expected = [(found[0][0], str(number), "") for number in range(len(found) - 1)]
    return found[0][0], found == [*expected, (found[0][0], str(len(found) - 1), "end")]


def _usage(document: dict[str, Any]) -> tuple[int, int, int] | None:
    told: Any = document.get("usage")
    try:
        cached = (told["prompt_tokens_details"] or {})["cached_tokens"]
        return told["prompt_tokens"], cached, told["completion_tokens"]
    except (KeyError, TypeError):
        return None
