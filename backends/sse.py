"""Bytes of an answer -> the same bytes, and what they said.

A stream of server-sent events passes through unread, but for the few events that tell how much was used, that a
choice is finished, that all is done, or that something failed. Text is never looked at. Only what a caller must not
see is taken out: usage that only we asked for, and a `[DONE]` that comes too early.

Source: WHATWG HTML, section 9.2 "Server-sent events"; OpenAI API reference, "Chat completion chunk".
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
from msgspec.structs import replace

from backends.base import StreamBroken, Usage
from backends.usage import NOTHING, UNREADABLE, Contradiction, read_usage, tier_of

MAX_EVENT: Final = 1024 * 1024
"""Bytes of one event."""

LONGEST_REASON: Final = 32
"""Characters that are kept of why a choice ended."""

# A blank line ends an event. A CR counts only once the next byte shows that it is not half of a CRLF.
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_LONGEST_BLANK_LINE: Final = 4
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# An index other than 0 may be that of a choice which was not seen until now.
_TOLD: Final = re.compile(rb'"(?:finish_reason|usage)"(?![ \t]*:[ \t]*null)|"index"(?![ \t]*:[ \t]*0)')
_DONE: Final = b"[DONE]"

_NO_CHOICE: Final = frozenset[int]()
_FIRST_CHOICE: Final = frozenset((0,))

_EMPTY: Final = msgspec.Raw(b'""')
_NO_TEXT: Final = (NOTHING, _EMPTY)
_NO_CALLS: Final = (NOTHING, msgspec.Raw(b"[]"))


class _Body(msgspec.Struct):
    usage: msgspec.Raw = NOTHING
    model: msgspec.Raw = NOTHING
    service_tier: msgspec.Raw = NOTHING


class _Answer(msgspec.Struct):
    error: msgspec.Raw = NOTHING


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    delta: msgspec.Raw = NOTHING
    text: msgspec.Raw = NOTHING


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    object: str | None = None
    model: msgspec.Raw = NOTHING
    service_tier: msgspec.Raw = NOTHING


class _Message(msgspec.Struct):
    tool_calls: msgspec.Raw = NOTHING
    function_call: msgspec.Raw = NOTHING
    refusal: msgspec.Raw = NOTHING


class _WholeChoice(msgspec.Struct):
    finish_reason: str | None = None
    message: msgspec.Raw = NOTHING


class _Whole(_Body):
    choices: list[_WholeChoice] = []


class Told(msgspec.Struct, frozen=True):
    """What an unstreamed answer said about itself.

    Attributes:
        usage: None where it does not say, or says what cannot be true.
        contradicts: it says what cannot be true.
        is_whole: it has choices, and each of them told why it ended.
        is_plain: it is whole, and each choice ended by itself: it called no tool and refused nothing.
        reason: why the last choice ended, in the backend's word; "" where it does not say.
    """

    usage: Usage | None
    is_whole: bool
    is_plain: bool
    contradicts: bool = False
    reason: str = ""


_NOTHING_TOLD: Final = Told(None, is_whole=False, is_plain=False)

_read_answer: Final = msgspec.json.Decoder(_Answer).decode
_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_read_whole: Final = msgspec.json.Decoder(_Whole).decode
_read_message: Final = msgspec.json.Decoder(_Message | None).decode
_read_delta: Final = msgspec.json.Decoder(dict[str, object] | None).decode


class StreamReader:
    """Reads along with one stream.

    Attributes:
        usage: the last that was told; None where none was, or where its figures cannot be true.
        contradicts: the last that was told cannot be true.
        failed: an event told of an error, or was not JSON.
        has_content: some choice said something.
        reason: why the last choice ended, in the backend's word; "" where it did not say.
    """

    __slots__ = (
        "_done",
        "_finished",
        "_held",
        "_seen",
        "_strip_usage",
        "_tier",
        "contradicts",
        "failed",
        "has_content",
        "reason",
        "usage",
    )

    def __init__(self, *, strip_usage: bool) -> None:
        self._strip_usage = strip_usage
        self._held = bytearray()
        self._seen: AbstractSet[int] = _NO_CHOICE
        self._finished: AbstractSet[int] = _NO_CHOICE
        self._done = False
        self._tier = NOTHING
        self.usage: Usage | None = None
        self.contradicts = False
        self.failed = False
        self.has_content = False
        self.reason = ""

    @property
    def finished(self) -> bool:
        """Tell whether each choice that was seen told why it ended, and the stream that it is done."""
        return self._done and not self.failed and bool(self._seen) and self._seen == self._finished

    def feed(self, data: bytes) -> bytes:
        """Take what came and return what may go on: whole events, unchanged.

        Raises:
            StreamBroken: one event is longer than `MAX_EVENT`.
        """
        held = self._held
        if not held and self.has_content and data.endswith((b"\n\n", b"\n\r\n")) and not _matters(data):
            return data
        searched = max(0, len(held) - _LONGEST_BLANK_LINE + 1)
        held += data
        ends = [match.end() for match in _BLANK_LINE.finditer(held, searched)]
        if not ends:
            _check_size(len(held))
            return b""
        whole = bytes(held[: ends[-1]])
        del held[: ends[-1]]
        _check_size(len(held))
        if self.has_content and not _matters(whole):
            return whole
        if len(ends) == 1:
            return self._read_and_pass(whole)
        starts = [0, *ends]
        return b"".join([self._pass(whole[start:end]) for start, end in zip(starts, ends, strict=False)])

    def finish(self) -> bytes:
        """Return what was held back at the end of the stream; an event counts there without its blank line."""
        rest = bytes(self._held)
        self._held.clear()
        return self._pass(rest) if rest else b""

    def _pass(self, event: bytes) -> bytes:
        return event if self.has_content and not _matters(event) else self._read_and_pass(event)

    def _read_and_pass(self, event: bytes) -> bytes:
        _check_size(len(event))
        payload, is_error = _payload_of(event)
        self.failed = self.failed or is_error
        if payload == _DONE:
            self._done = True  # callers stop reading here, and would take what lacks something for a whole answer
            return event if self.finished else b""
        told = self._read(payload)
        if told is None:
            return event
        blank = len(event) - len(event.lstrip(b"\r\n"))  # belongs to the event before
        return event[:blank] if self._strip_usage and _is_pure_usage(told) else event

    def _read(self, payload: bytes) -> _Chunk | None:
        if not payload:
            return None
        try:
            chunk = _read_chunk(payload)
        except msgspec.ValidationError:
            return None  # JSON of a shape unknown here passes; a stream of nothing else never counts as finished
        except UNREADABLE:
            self.failed = True
            return None
        self._learn(chunk)
        return chunk

    def _learn(self, chunk: _Chunk) -> None:
        if chunk.error != NOTHING or chunk.object == "error":
            self.failed = True
        if chunk.service_tier != NOTHING:
            self._take_tier(chunk.service_tier)
        if chunk.usage != NOTHING:
            self.usage, self.contradicts = _told_usage(chunk.usage, chunk.model, self._tier)
        for choice in chunk.choices or ():
            self._seen = _with(self._seen, choice.index)
            if choice.finish_reason is not None:
                self._finished = _with(self._finished, choice.index)
                self.reason = reason_of(choice.finish_reason)
            if not self.has_content:
                self.has_content = _says_something(choice)

    def _take_tier(self, told: msgspec.Raw) -> None:
        """Take it from whichever chunk tells it, before the usage or after."""
        if told != self._tier:
            self._tier = msgspec.Raw(bytes(told))  # of its own, since a view would hold the whole chunk
            if self.usage is not None:
                self.usage = replace(self.usage, service_tier=tier_of(told))


def _with(choices: AbstractSet[int], index: int) -> AbstractSet[int]:
    """Return choices with one more; nearly all streams have one alone, and share the set of it."""
    if index in choices:
        return choices
    if not index and not choices:
        return _FIRST_CHOICE
    more = choices if isinstance(choices, set) else set(choices)
    more.add(index)
    return more


def is_answer(body: bytes) -> bool:
    """Tell whether an unstreamed body is an object in JSON that tells of no error; a damaged one is no answer."""
    try:
        if not body.isascii():
            body.decode()
        return _read_answer(body).error == NOTHING
    except UNREADABLE:
        return False


def read_reply(body: bytes) -> Told:
    """Return what an unstreamed answer said about itself; never raises."""
    try:
        read = _read_whole(body)
    except UNREADABLE:
        return _told_without_choices(body)
    usage, contradicts = _told_usage(read.usage, read.model, read.service_tier)
    reasons = [choice.finish_reason for choice in read.choices]
    is_whole = bool(reasons) and None not in reasons
    try:
        is_plain = is_whole and all(reason == "stop" for reason in reasons) and all(map(_is_plain, read.choices))
    except UNREADABLE:
        return Told(usage, is_whole=False, is_plain=False, contradicts=contradicts)
    return Told(usage, is_whole, is_plain, contradicts, reason_of(reasons[-1] or "") if reasons else "")


def _told_without_choices(body: bytes) -> Told:
    """Return what is left to be told where choices are of a shape that we do not know."""
    try:
        read = _read_body(body)
    except UNREADABLE:
        return _NOTHING_TOLD
    usage, contradicts = _told_usage(read.usage, read.model, read.service_tier)
    return Told(usage, is_whole=False, is_plain=False, contradicts=contradicts)


def reason_of(told: str) -> str:
    """Return a word that any ledger can hold; "" for what is none."""
    return told[:LONGEST_REASON] if told.isprintable() else ""


def _is_plain(choice: _WholeChoice) -> bool:
    message = _read_message(choice.message)
    if message is None:
        return True
    return message.refusal in _NO_TEXT and message.function_call == NOTHING and message.tool_calls in _NO_CALLS


def _matters(data: bytes) -> bool:
    """Tell whether some event must be read; never false for a run of events where it is true for one of them."""
    return (
        _TOLD.search(data) is not None
        or data.find(_DONE) >= 0  # `in` would first try the bytes as a number, at five times the price
        or data.find(b'"error"') >= 0
        or data.find(b"event:") >= 0
        or len(data) > MAX_EVENT
    )


def _check_size(size: int) -> None:
    if size > MAX_EVENT:
        raise StreamBroken(f"one event is longer than {MAX_EVENT} bytes")


def _payload_of(event: bytes) -> tuple[bytes, bool]:
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2], False
    lines = _LINE_END.split(event)
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(data), any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines)


def _says_something(choice: _Choice) -> bool:
    if choice.text not in _NO_TEXT:
        return True
    try:
        delta = _read_delta(choice.delta) or {}
    except UNREADABLE:
        return False
    return any(value for key, value in delta.items() if key != "role")


def _is_pure_usage(chunk: _Chunk) -> bool:
    return chunk.choices == [] and chunk.usage != NOTHING and chunk.error == NOTHING


def _told_usage(raw: msgspec.Raw, model: msgspec.Raw, tier: msgspec.Raw) -> tuple[Usage | None, bool]:
    """Return what an answer took, and whether what it tells of that cannot be true; the one way for all answers."""
    try:
        return read_usage(raw, model=model, service_tier=tier_of(tier)), False
    except Contradiction:
        return None, True
