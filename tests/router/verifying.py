"""A verifier that says what a test wants, and what a house needs to ask it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from classifier.base import Kind, Sample
from tests.router.conftest import House, Row
from tests.router.scripted import Script

CHAT = "/v1/chat/completions"
BETWEEN = {"use": "cascade", "easy": 0.0, "hard": 1.0, "hold_seconds": 0.3}
_HEAD = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":['
DONE = (
    _HEAD + b'],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,'
    b'"prompt_tokens_details":{"cached_tokens":2}}}\n\n',
    b"data: [DONE]\n\n",
)


@dataclass
class ScriptedVerifier:
    """Says `p` of everything, keeps what it was shown, and then lets something happen."""

    p: float = 0.0
    then: Callable[[], object] | None = None
    seen: list[tuple[float, list[Sample]]] = field(default_factory=list)
    wanted: list[Kind | None] = field(default_factory=list)
    source: str = "scripted@1"

    def p_wrong(self, score: float, replies: Sequence[Sample], *, wanted: Kind | None = None) -> float:
        self.seen.append((score, list(replies)))
        self.wanted.append(wanted)
        if self.then is not None:
            self.then()
        return self.p


def words(count: int, *, logprob: float | None = None, ends: bool = True) -> tuple[bytes, ...]:
    """Return a stream of as many words, one an event."""
    events = list[bytes]()
    for number in range(count):
        last = b'"stop"' if ends and number == count - 1 else b"null"
        told = b"" if logprob is None else b',"logprobs":{"content":[{"token":"w","logprob":%g}]}' % logprob
        delta = b'"delta":{"content":"w%d "}' % number
        events.append(_HEAD + b'{"index":0,' + delta + told + b',"finish_reason":' + last + b"}]}\n\n")
    return (*events, *DONE) if ends else tuple(events)


def text_of(stream: bytes) -> str:
    """Return what a stream says."""
    parts = list[str]()
    for line in stream.splitlines():
        if line.startswith(b"data: {"):
            choices: list[dict[str, Any]] = msgspec.json.decode(line[6:]).get("choices", [])
            parts += [choice["delta"].get("content") or "" for choice in choices]
    return "".join(parts)


def second_of(house: House) -> Script:
    """Return a script of its own for second samples."""
    house.mini.second = Script()
    return house.mini.second


def told(row: Row) -> list[tuple[object, object, object]]:
    """Return kind, tier and error of a request's attempts, in order."""
    return [(attempt["kind"], attempt["tier"], attempt["error"]) for attempt in attempts_of(row)]


def attempts_of(row: Row) -> list[Row]:
    """Return a request's attempts."""
    attempts = row["attempts"]
    assert isinstance(attempts, list)
    return attempts


JUDGE = ("judge", "mini", "")
