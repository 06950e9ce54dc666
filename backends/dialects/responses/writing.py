"""What a model says, piece by piece -> a Response, and the events of its stream.

Whole or streamed, it is the same writer: an unstreamed answer is one whose events nobody reads. Ids of items are made
of the Response's own, so that one answer told twice is told in the same words.
"""

import time
from typing import Any, Final

import msgspec

from backends.dialects.reading import Fields
from backends.dialects.responses.output_items import (
    COMPLETED,
    IN_PROGRESS,
    INCOMPLETE,
    Item,
    Message,
    Thought,
    ToolCall,
)

PREFIX: Final = "resp_"
QUEUED: Final = "queued"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"

_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the finish reason of a chat; any other reason completes it."""

UNTIL: Final = {
    COMPLETED: "response.completed",
    INCOMPLETE: "response.incomplete",
    CANCELLED: "response.incomplete",  # no event has a name of its own for that
    FAILED: "response.failed",
}


class ResponseWriter:
    """One Response.

    Args:
        identifier: of the Response, beginning with `PREFIX`.
        repeated: fields that it tells of its request.
        streams: whether events are wanted.
        after: events with this number and those before it are left out.

    Attributes:
        status: "in_progress", "completed", "incomplete", "failed" or "cancelled".
        repeated: as given; what changes in it is told from then on.
    """

    def __init__(self, identifier: str, repeated: Fields, *, streams: bool, after: int = -1) -> None:
        self.status = IN_PROGRESS
        self.repeated = repeated
        self._id, self._stem = identifier, identifier.removeprefix(PREFIX)
        self._streams, self._after = streams, after
        self._said = bytearray()
        self._number = 0
        self._items: list[Item] = []
        self._statuses: list[str] = []
        self._thought: Thought | None = None
        self._message: Message | None = None
        self._calls: dict[int, ToolCall] = {}
        self._model, self._created, self._has_begun = "", 0, False
        self._completed: int | None = None
        self._usage: Fields | None = None
        self._why: str | None = None
        self._error: Fields | None = None

    @property
    def has_begun(self) -> bool:
        """Tell whether the model's first word is here."""
        return self._has_begun

    @property
    def has_ended(self) -> bool:
        """Tell whether the model said why it stopped."""
        return self.status != IN_PROGRESS

    def queue(self, model: str, created: int) -> None:
        """Tell that the answer is asked for: of whom, and since when, in seconds since 1970."""
        self._model, self._created = model, created
        shown = self.response(QUEUED)
        self._tell("response.created", response=shown)
        self._tell("response.queued", response=shown)

    def begin(self, model: str, created: int) -> None:
        """Take who answers, and since when: seconds since 1970; that stays as it was where it was told before."""
        self._model, was_queued = model or self._model, bool(self._created)
        self._created = self._created or created or int(time.time())
        shown = self.response(IN_PROGRESS)
        self._has_begun = True
        if not was_queued:
            self._tell("response.created", response=shown)
        self._tell("response.in_progress", response=shown)

    def think(self, text: str) -> None:
        """Take a piece of the model's thoughts."""
        if self._thought is None:
            self._close_message()
            self._thought = Thought(len(self._items), self._stem, self._tell)
            self._hold(self._thought)
        self._thought.add(text)

    def say(self, text: str, odds: list[Fields]) -> None:
        """Take a piece of what it says, with the log-probabilities of its tokens."""
        self._spoken().say(text, odds)

    def note(self, annotation: Fields) -> None:
        """Take an annotation of what it says."""
        self._spoken().note(annotation)

    def refuse(self, text: str) -> None:
        """Take a piece of a refusal."""
        self._spoken().refuse(text)

    def call(self, index: int, *, call_id: str, name: str, given: str, custom: bool = False) -> None:
        """Take a piece of a call.

        Args:
            index: of the call among those of this answer.
            call_id, name: "" but for the first piece.
            given: a piece of the arguments, or of the input of a custom tool.
        """
        call = self._calls.get(index)
        if call is None:
            self._close_thought()
            self._close_message()
            at = len(self._items)
            call_id = call_id or f"call_{self._stem}{at:04x}"
            call = self._calls[index] = ToolCall(at, self._stem, self._tell, call_id=call_id, name=name, custom=custom)
            self._hold(call)
        if given:
            call.add(given)

    def use(self, usage: Fields) -> None:
        """Take what it took."""
        self._usage = usage

    def end(self, finish_reason: str, *, completed: int | None = None) -> None:
        """Close what is open: the model has stopped.

        Args:
            finish_reason: as a chat tells it.
            completed: when it was whole, seconds since 1970; None: now.
        """
        self._completed = completed
        self._why = _REASONS.get(finish_reason)
        self.status = COMPLETED if self._why is None else INCOMPLETE
        for at, item in enumerate(self._items):
            if self._statuses[at] == IN_PROGRESS:
                self._statuses[at] = self.status
                item.close(self.status)

    def close(self) -> None:
        """Write the last event."""
        self._tell(UNTIL[self.status], response=self.response(self.status))

    def fail(self, message: str, code: str) -> None:
        """Write the last event of an answer that broke."""
        self._error = {"code": code, "message": message}
        self._break(FAILED)

    def cancel(self) -> None:
        """Write the last event of an answer that nobody wants any more."""
        self._break(CANCELLED)

    def take(self) -> bytes:
        """Return the events since the last time."""
        said = bytes(self._said)
        self._said.clear()
        return said

    def response(self, status: str) -> Fields:
        """Return the Response as it is now."""
        items = zip(self._items, self._statuses, strict=True)
        if status == COMPLETED and self._completed is None:
            self._completed = int(time.time())
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "completed_at": self._completed,
            "error": self._error,
            "incomplete_details": None if self._why is None else {"reason": self._why},
            "model": self._model,
            "output": [item.shown(each) for item, each in items],
            "usage": self._usage,
            **self.repeated,
        }

    def _break(self, status: str) -> None:
        self.status, self._completed = status, None
        self._statuses = [INCOMPLETE if each == IN_PROGRESS else each for each in self._statuses]
        self.close()

    def _spoken(self) -> Message:
        if self._message is None:
            self._close_thought()
            self._message = Message(len(self._items), self._stem, self._tell)
            self._hold(self._message)
        return self._message

    def _hold(self, item: Item) -> None:
        self._items.append(item)
        self._statuses.append(IN_PROGRESS)

    def _close_thought(self) -> None:
        if self._thought is not None:
            self._close_item(self._thought)
            self._thought = None

    def _close_message(self) -> None:
        if self._message is not None:
            self._close_item(self._message)
            self._message = None

    def _close_item(self, item: Item) -> None:
        self._statuses[self._items.index(item)] = COMPLETED
        item.close(COMPLETED)

    def _tell(self, kind: str, /, **fields: Any) -> None:  # noqa: ANN401  (any JSON)
        number, self._number = self._number, self._number + 1
        if self._streams and number > self._after:
            self._said += event(kind, number, fields)


def event(kind: str, number: int, fields: Fields) -> bytes:
    """Return one event of a stream."""
    data = msgspec.json.encode({"type": kind, "sequence_number": number, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
