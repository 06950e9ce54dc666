"""What a model says, at random: as a chat completion, and as the chunks that add up to it."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

Fields = dict[str, Any]

FRAME: Fields = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m"}
TEXTS = st.text(min_size=1, max_size=12)


@dataclass(frozen=True)
class Said:
    """One answer.

    Attributes:
        message: of the completion.
        deltas: of the chunks.
        cuts: where the bytes of the stream are cut.
    """

    message: Fields
    deltas: list[Fields]
    finish_reason: str
    usage: Fields
    cuts: list[int]

    @property
    def whole(self) -> bytes:
        """Return the completion."""
        choice = {"index": 0, "message": self.message, "finish_reason": self.finish_reason}
        body: Fields = {**FRAME, "object": "chat.completion", "choices": [choice], "usage": self.usage}
        return json.dumps(body).encode()

    @property
    def stream(self) -> bytes:
        """Return the chunks."""
        choices: list[list[Fields]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in self.deltas]
        choices.append([{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
        chunks: list[Fields] = [{**FRAME, "object": "chat.completion.chunk", "choices": each} for each in choices]
        chunks.append({**FRAME, "object": "chat.completion.chunk", "choices": [], "usage": self.usage})
        return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Return the pieces between some places of a stream."""
    ends = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(ends)]


@st.composite
def answers(draw: st.DrawFn) -> Said:
    """Return an answer with thoughts, words or a refusal, and calls of both kinds, each as likely as not."""
    thoughts = draw(st.lists(TEXTS, max_size=3))
    words = draw(st.lists(TEXTS, max_size=4))
    refusal = draw(st.lists(TEXTS, max_size=2)) if not words else []
    calls = draw(st.lists(st.tuples(st.booleans(), TEXTS, st.lists(TEXTS, max_size=3)), max_size=3))
    message: Fields = {"role": "assistant", "content": "".join(words) or None}
    deltas: list[Fields] = [{"role": "assistant", "content": ""}]
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
        deltas += [{"reasoning_content": thought} for thought in thoughts]
    deltas += [{"content": word} for word in words]
    if refusal:
        message["refusal"] = "".join(refusal)
        deltas += [{"refusal": word} for word in refusal]
    for index, (is_custom, name, given) in enumerate(calls):
        kind, field = ("custom", "input") if is_custom else ("function", "arguments")
        head = {"id": f"call_{index}", "type": kind}
        message.setdefault("tool_calls", []).append({**head, kind: {"name": name, field: "".join(given)}})
        deltas.append({"tool_calls": [{"index": index, **head, kind: {"name": name, field: ""}}]})
        deltas += [{"tool_calls": [{"index": index, kind: {field: piece}}]} for piece in given]
    usage: Fields = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    if draw(st.booleans()):
        usage |= {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    natural = "tool_calls" if calls else "stop"
    reason = draw(st.sampled_from([natural, "length", "content_filter"]))
    return Said(message, deltas, reason, usage, draw(st.lists(st.integers(0, 5_000), max_size=12)))
