"""Bytes of a whole reply, a body or events -> what its first choice said, called and was told.

Reads what quality is measured on and nothing else; what it cannot read says nothing. Never raises.

Source: OpenAI API reference, "Chat completion" and "Chat completion chunk".
"""

import math
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw, Struct

from backends.sse import reason_of

_NOTHING: Final = Raw(b"null")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; `arguments` as the model wrote them."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the first choice of a reply says.

    Attributes:
        refusal: what stands in the field of that name; "" for none.
        finish: why it ended, in the backend's word; "" where it does not say.
        logprob: mean log-probability of its tokens; None where none are told.
        entropy: of the next token in nats, mean over tokens, at least; None where alternatives are not told.
    """

    text: str = ""
    refusal: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    logprob: float | None = None
    entropy: float | None = None

    @property
    def perplexity(self) -> float | None:
        """Return e to the minus `logprob`; comparable within one model only."""
        return None if self.logprob is None else math.exp(-max(-700.0, self.logprob))


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int = 0
    function: _Function | None = None


class _Top(Struct):
    logprob: float


class _Token(Struct):
    logprob: float
    top_logprobs: list[_Top] | None = None


class _Logprobs(Struct):
    content: list[_Token] | None = None


class _Words(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(Struct):
    index: int = 0
    message: _Words | None = None
    delta: _Words | None = None
    text: str | None = None
    logprobs: Raw = _NOTHING
    finish_reason: str | None = None


class _Body(Struct):
    choices: list[_Choice]


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_logprobs: Final = msgspec.json.Decoder(_Logprobs | None).decode


def said_by(body: bytes, *, stream: bool) -> Said | None:
    """Return what a reply said; None for what is no completion.

    Args:
        body: of an unstreamed answer, or the events of a stream as the caller got them.
    """
    heard = _Heard()
    if not stream:
        heard.hear(body)
        return heard.said() if heard.is_completion else None
    for line in body.splitlines():
        if line.startswith(b"data:"):
            heard.hear(line[5:])
    return heard.said() if heard.is_completion else None


class _Heard:
    """Gathers the first choice, piece by piece."""

    def __init__(self) -> None:
        self.is_completion = False
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, tuple[list[str], list[str]]] = {}
        self._tokens: list[_Token] = []
        self._finish = ""

    def hear(self, data: bytes) -> None:
        """Take a body or the data of an event."""
        try:
            choices = _read_body(data).choices
        except _UNREADABLE:
            return
        first = next((choice for choice in choices if choice.index == 0), None)
        if first is None:
            return
        self.is_completion = True
        self._finish = first.finish_reason or self._finish
        words = first.delta or first.message or _Words(first.text)
        self._text.append(words.content or "")
        self._refusal.append(words.refusal or "")
        for number, call in enumerate(words.tool_calls or ()):
            self._call(call.index if first.delta is not None else number, call.function)
        if words.function_call is not None:
            self._call(0, words.function_call)
        if first.logprobs != _NOTHING:
            self._tokens += _tokens(first.logprobs)

    def said(self) -> Said:
        """Return all of it."""
        return Said(
            text="".join(self._text),
            refusal="".join(self._refusal),
            calls=tuple(ToolCall("".join(name), "".join(arguments)) for name, arguments in self._calls.values()),
            finish=reason_of(self._finish),
            logprob=_mean([token.logprob for token in self._tokens]),
            entropy=_mean([_entropy(token.top_logprobs) for token in self._tokens if token.top_logprobs]),
        )

    def _call(self, index: int, function: _Function | None) -> None:
        name, arguments = self._calls.setdefault(index, ([], []))
        if function is not None:
            name.append(function.name or "")
            arguments.append(function.arguments or "")


def _tokens(raw: Raw) -> list[_Token]:
    try:
        told = _read_logprobs(raw)
    except _UNREADABLE:
        return []
    return [] if told is None else told.content or []


def _entropy(told: list[_Top]) -> float:
    """Return the entropy of what is told, and of the rest as if it were one token: a lower bound."""
    shares = [math.exp(min(0.0, each.logprob)) for each in told]
    rest = 1.0 - sum(shares)
    return -sum(share * math.log(share) for share in (*shares, rest) if share > 0.0)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
