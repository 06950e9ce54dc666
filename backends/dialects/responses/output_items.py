"""What a model says, piece by piece -> the items of a Response's output, and the events that tell of them.

Each item is opened when it is made, grows, and is closed once. Knows nothing of chat completions.
"""

from typing import Any, Final, Protocol

from backends.dialects.reading import Fields

COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"
IN_PROGRESS: Final = "in_progress"


class Tell(Protocol):
    """Writes one event."""

    def __call__(self, kind: str, /, **fields: Any) -> None:  # noqa: ANN401  (any JSON)
        """Write it with the next sequence number."""
        ...


class Item(Protocol):
    """One item of an output."""

    def close(self, status: str) -> None:
        """Tell that it will not grow any more."""
        ...

    def shown(self, status: str) -> Fields:
        """Return the item as it is now."""
        ...


class Thought:
    """What the model thought before it spoke."""

    __slots__ = ("_at", "_id", "_parts", "_tell")

    def __init__(self, at: int, stem: str, tell: Tell) -> None:
        self._at, self._tell = at, tell
        self._id = f"rs_{stem}{at:04x}"
        self._parts: list[str] = []
        tell("response.output_item.added", output_index=at, item={**self._base(IN_PROGRESS), "content": []})
        tell("response.content_part.added", **self._place(), part=self._part(""))

    def add(self, text: str) -> None:
        """Grow."""
        self._parts.append(text)
        self._tell("response.reasoning_text.delta", **self._place(), delta=text)

    def close(self, status: str) -> None:
        """See `Item`."""
        text = "".join(self._parts)
        self._tell("response.reasoning_text.done", **self._place(), text=text)
        self._tell("response.content_part.done", **self._place(), part=self._part(text))
        self._tell("response.output_item.done", output_index=self._at, item=self.shown(status))

    def shown(self, status: str) -> Fields:
        """See `Item`."""
        return {**self._base(status), "content": [self._part("".join(self._parts))]}

    def _base(self, status: str) -> Fields:
        return {"id": self._id, "type": "reasoning", "status": status, "summary": []}

    def _place(self) -> Fields:
        return {"item_id": self._id, "output_index": self._at, "content_index": 0}

    @staticmethod
    def _part(text: str) -> Fields:
        return {"type": "reasoning_text", "text": text}


class Message:
    """What the model said, in words or as a refusal."""

    __slots__ = ("_at", "_id", "_notes", "_odds", "_parts", "_shown", "_tell", "_type")

    def __init__(self, at: int, stem: str, tell: Tell) -> None:
        self._at, self._tell = at, tell
        self._id = f"msg_{stem}{at:04x}"
        self._shown: list[Fields] = []  # parts that are closed
        self._type = ""  # of the part that is open; "" where none is
        self._parts: list[str] = []
        self._odds: list[Fields] = []
        self._notes: list[Fields] = []
        tell("response.output_item.added", output_index=at, item=self.shown(IN_PROGRESS))

    def say(self, text: str, odds: list[Fields]) -> None:
        """Grow by words.

        Args:
            odds: log-probabilities of their tokens.
        """
        self._open("output_text")
        self._parts.append(text)
        self._odds += odds
        self._tell("response.output_text.delta", **self._place(), delta=text, logprobs=odds)

    def note(self, annotation: Fields) -> None:
        """Add an annotation to the words."""
        self._open("output_text")
        at = len(self._notes)
        self._notes.append(annotation)
        self._tell("response.output_text.annotation.added", **self._place(), annotation_index=at, annotation=annotation)

    def refuse(self, text: str) -> None:
        """Grow by words that refuse."""
        self._open("refusal")
        self._parts.append(text)
        self._tell("response.refusal.delta", **self._place(), delta=text)

    def close(self, status: str) -> None:
        """See `Item`."""
        self._close_part()
        self._tell("response.output_item.done", output_index=self._at, item=self.shown(status))

    def shown(self, status: str) -> Fields:
        """See `Item`."""
        parts = [*self._shown, self._part()] if self._type else [*self._shown]
        return {"id": self._id, "type": "message", "status": status, "role": "assistant", "content": parts}

    def _open(self, kind: str) -> None:
        if self._type == kind:
            return
        self._close_part()
        self._type = kind
        self._tell("response.content_part.added", **self._place(), part=self._part())

    def _close_part(self) -> None:
        if not self._type:
            return
        part = self._part()
        if self._type == "refusal":
            self._tell("response.refusal.done", **self._place(), refusal=part["refusal"])
        else:
            done = {"text": part["text"], "logprobs": part["logprobs"]}
            self._tell("response.output_text.done", **self._place(), **done)
        self._tell("response.content_part.done", **self._place(), part=part)
        self._shown.append(part)
        self._type, self._parts, self._odds, self._notes = "", [], [], []

    def _part(self) -> Fields:
        text = "".join(self._parts)
        if self._type == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [*self._notes], "logprobs": [*self._odds]}

    def _place(self) -> Fields:
        return {"item_id": self._id, "output_index": self._at, "content_index": len(self._shown)}


class ToolCall:
    """One call of a tool.

    Args:
        call_id: by which its output will be known.
        custom: the tool takes a text and not JSON.
    """

    __slots__ = ("_at", "_call_id", "_custom", "_id", "_name", "_parts", "_tell")

    def __init__(self, at: int, stem: str, tell: Tell, *, call_id: str, name: str, custom: bool) -> None:
        self._at, self._tell, self._call_id, self._name, self._custom = at, tell, call_id, name, custom
        self._id = f"{'ctc' if custom else 'fc'}_{stem}{at:04x}"
        self._parts: list[str] = []
        tell("response.output_item.added", output_index=at, item=self.shown(IN_PROGRESS))

    def add(self, given: str) -> None:
        """Grow by a piece of what is given to the tool."""
        self._parts.append(given)
        self._tell(f"{self._kind}.delta", item_id=self._id, output_index=self._at, delta=given)

    def close(self, status: str) -> None:
        """See `Item`."""
        given = {self._given: "".join(self._parts)}
        if not self._custom:
            given["name"] = self._name
        self._tell(f"{self._kind}.done", item_id=self._id, output_index=self._at, **given)
        self._tell("response.output_item.done", output_index=self._at, item=self.shown(status))

    def shown(self, status: str) -> Fields:
        """See `Item`."""
        return {
            "id": self._id,
            "type": "custom_tool_call" if self._custom else "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            self._given: "".join(self._parts),
        }

    @property
    def _given(self) -> str:
        return "input" if self._custom else "arguments"

    @property
    def _kind(self) -> str:
        return "response.custom_tool_call_input" if self._custom else "response.function_call_arguments"
