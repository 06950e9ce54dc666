"""Events of a Response -> chunks of a chat completion.

A server that tells only the whole of a text or a call, and no deltas, is understood as well: what its "done" says
beyond the deltas is told then.

Source: OpenAI API reference, "Responses: streaming events" and "Chat completion chunk".
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from backends.dialects.base import DialectError
from backends.dialects.reading import UNREADABLE, Fields
from backends.dialects.responses.completions import BETWEEN_THOUGHTS, OutputItem, Told, annotation_of

_DONE: Final = b"data: [DONE]\n\n"


class _Error(Struct):
    message: str | None = None
    code: Any = None
    type: Any = None


class _Event(Struct):
    type: str = ""
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    item_id: str | None = None
    summary_index: int = 0
    logprobs: list[Fields] | None = None
    annotation: Fields | None = None
    item: OutputItem | None = None
    response: Told | None = None
    message: str | None = None
    code: Any = None
    error: _Error | None = None


class _Ongoing(Struct):
    """A call that is being told.

    Attributes:
        index: among the calls.
        told: characters of what it gives to its tool.
    """

    index: int
    item: OutputItem
    told: int = 0


_read: Final = msgspec.json.Decoder(_Event).decode


class ChunkWriter:
    """One stream."""

    __slots__ = ("_calls", "_has_spoken", "_is_over", "_kind_of_thoughts", "_told", "_who")

    def __init__(self) -> None:
        self._who = Told()
        self._calls: dict[str, _Ongoing] = {}
        self._told: dict[tuple[str, str], int] = {}  # characters of each text, by its item and kind
        self._kind_of_thoughts = ""  # as they are, or summed up; a server that tells both is heard once
        self._has_spoken = self._is_over = False

    def take(self, data: bytes) -> bytes:
        """Return the chunks that an event gives.

        Raises:
            DialectError: it is no event of a Response.
        """
        if self._is_over:
            return b""
        try:
            event = _read(data)
        except UNREADABLE as error:
            raise DialectError(f"it is no event of a Response: {error}") from error
        reader = self._readers.get(event.type)
        return b"" if reader is None else reader(self, event)

    def _begin(self, event: _Event) -> bytes:
        self._who = event.response or self._who
        return b""

    def _text(self, event: _Event) -> bytes:
        return self._words("content", event, event.delta, event.logprobs)

    def _whole_text(self, event: _Event) -> bytes:
        return self._words("content", event, self._beyond("content", event, event.text), None)

    def _refusal(self, event: _Event) -> bytes:
        return self._words("refusal", event, event.delta, None)

    def _whole_refusal(self, event: _Event) -> bytes:
        return self._words("refusal", event, self._beyond("refusal", event, event.refusal), None)

    def _note(self, event: _Event) -> bytes:
        return b"" if event.annotation is None else self._delta({"annotations": [annotation_of(event.annotation)]})

    def _words(self, field: str, event: _Event, text: str | None, odds: list[Fields] | None) -> bytes:
        if not text and not odds:
            return b""
        place = (event.item_id or "", field)
        self._told[place] = self._told.get(place, 0) + len(text or "")
        return self._delta({field: text or ""}, odds)

    def _beyond(self, field: str, event: _Event, text: str | None) -> str:
        """Return a text where no delta told of it."""
        return "" if self._told.get((event.item_id or "", field)) else text or ""

    def _think(self, event: _Event) -> bytes:
        if not event.delta or self._kind_of_thoughts not in ("", event.type):
            return b""
        self._kind_of_thoughts = event.type
        place = (event.item_id or "", f"{event.type}{event.summary_index}")
        is_next = self._told.get(place) is None and bool(self._thoughts_before(place))
        self._told[place] = 1
        return self._delta({"reasoning_content": (BETWEEN_THOUGHTS if is_next else "") + event.delta})

    def _thoughts_before(self, place: tuple[str, str]) -> list[tuple[str, str]]:
        return [each for each in self._told if each != place and each[1].startswith(self._kind_of_thoughts)]

    def _item(self, event: _Event) -> bytes:
        item = event.item
        if item is None or not item.is_call:
            return b""
        ongoing = self._calls.get(item.id or item.call_id or "")
        if ongoing is not None:
            return self._grow(ongoing, item.given[ongoing.told :])
        ongoing = _Ongoing(len(self._calls), item, len(item.given))
        self._calls[item.id or item.call_id or ""] = ongoing
        return self._delta({"tool_calls": [{"index": ongoing.index, **item.call(item.given)}]})

    def _given(self, event: _Event) -> bytes:
        return self._grow(self._calls.get(event.item_id or ""), event.delta or "")

    def _grow(self, ongoing: _Ongoing | None, given: str) -> bytes:
        if ongoing is None or not given:
            return b""
        ongoing.told += len(given)
        is_custom = ongoing.item.type == "custom_tool_call"
        piece: Fields = {"custom": {"input": given}} if is_custom else {"function": {"arguments": given}}
        return self._delta({"tool_calls": [{"index": ongoing.index, **piece}]})

    def _end(self, event: _Event) -> bytes:
        response = event.response
        if response is None:
            raise DialectError(f"{event.type} has no response")
        self._is_over = True
        self._who = response
        reason = response.finish_reason
        if self._calls and reason == "stop":
            reason = "tool_calls"
        last = self._delta({}, finish_reason=reason)
        used = response.chat_usage
        tier = {} if response.service_tier is None else {"service_tier": response.service_tier}
        usage = b"" if used is None else self._chunk([], usage=used, **tier)
        return last + usage + _DONE

    def _fail(self, event: _Event) -> bytes:
        self._is_over = True
        told = event.error or (event.response and event.response.error) or None
        message = (told and told.message) or event.message or "the backend failed"
        code = (told and told.code) or event.code
        error = {"message": message, "type": "server_error", "param": None, "code": code}
        return b"data: %b\n\n" % msgspec.json.encode({"error": error})

    def _delta(self, delta: Fields, odds: list[Fields] | None = None, finish_reason: str | None = None) -> bytes:
        if not self._has_spoken:
            self._has_spoken = True
            delta = {"role": "assistant", **delta}
        told = {"content": odds, "refusal": None} if odds else None
        return self._chunk([{"index": 0, "delta": delta, "logprobs": told, "finish_reason": finish_reason}])

    def _chunk(self, choices: list[Fields], **more: Any) -> bytes:  # noqa: ANN401  (any JSON)
        who = self._who
        chunk = {
            "id": who.id,
            "object": "chat.completion.chunk",
            "created": int(who.created_at),
            "model": who.model,
            "choices": choices,
            **more,
        }
        return b"data: %b\n\n" % msgspec.json.encode(chunk)

    # What reads an event, by its type; any other event tells nothing that a chat could.
    _readers: ClassVar[Mapping[str, Callable[["ChunkWriter", _Event], bytes]]] = {
        "response.created": _begin,
        "response.in_progress": _begin,
        "response.output_text.delta": _text,
        "response.output_text.done": _whole_text,
        "response.output_text.annotation.added": _note,
        "response.refusal.delta": _refusal,
        "response.refusal.done": _whole_refusal,
        "response.reasoning_text.delta": _think,
        "response.reasoning_summary_text.delta": _think,
        "response.output_item.added": _item,
        "response.output_item.done": _item,
        "response.function_call_arguments.delta": _given,
        "response.custom_tool_call_input.delta": _given,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _fail,
        "error": _fail,
    }
