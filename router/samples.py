"""Bytes of a reply -> what verification looks at; and the bytes without log-probabilities.

Reads whole answers and whole server-sent events of one choice, be it a message or a text. Knows nothing of routes, of
when to read or of what is made of a sample.

Source: OpenAI API reference, "Chat completion" and "Chat completion chunk".
"""

import json
import re
from typing import Final

import msgspec
from msgspec import Raw, Struct

from backends.base import Broken
from classifier.base import Sample

_NOTHING: Final = Raw(b"null")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# In JSON a quote inside a string is escaped, so this is the name of a member wherever it stands.
# With one comma at most, that before it or else that after it.
_MEMBER: Final = re.compile(r'(,\s*)?(?<!\\)"logprobs"\s*:\s*')
_COMMA: Final = re.compile(r"\s*,")
_value_at: Final = json.JSONDecoder(strict=False).raw_decode


class _Token(Struct):
    logprob: float


class _Logprobs(Struct):
    content: list[_Token] | None = None


class _Words(Struct):
    """A message, or what an event adds to one."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct):
    message: _Words | None = None
    delta: _Words | None = None
    text: str | None = None
    logprobs: Raw = _NOTHING
    finish_reason: str | None = None


class _Body(Struct):
    choices: list[_Choice]


_read_body: Final = msgspec.json.Decoder(_Body).decode
_read_logprobs: Final = msgspec.json.Decoder(_Logprobs | None).decode


class Listener:
    """Gathers the text of one reply, event by event.

    Attributes:
        tokens: how many the events brought: log-probabilities where there are any, or else one for each event.
    """

    __slots__ = ("_finish_reason", "_logprobs", "_text", "tokens")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._logprobs: list[float] = []
        self._finish_reason: str | None = None
        self.tokens = 0

    def hear(self, events: bytes) -> None:
        """Take whole events; what is no chunk of a completion says nothing."""
        for line in events.splitlines():
            if line.startswith(b"data:"):
                try:
                    choices = _read_body(line[5:]).choices
                except _UNREADABLE:
                    continue
                if choices:
                    self._learn(choices[0])

    @property
    def sample(self) -> Sample:
        """Return what was said until now."""
        return Sample("".join(self._text), tuple(self._logprobs) or None, self._finish_reason)

    def _learn(self, choice: _Choice) -> None:
        self._finish_reason = choice.finish_reason or self._finish_reason
        words = choice.delta
        said = (choice.text if words is None else words.content or words.refusal) or ""
        logprobs = _logprobs(choice)
        if said:
            self._text.append(said)
        self._logprobs += logprobs
        if logprobs:
            self.tokens += len(logprobs)
        elif said or (words is not None and (words.reasoning or words.reasoning_content)):
            self.tokens += 1


def sample_of(body: bytes) -> Sample:
    """Return what an unstreamed answer says.

    Raises:
        Broken: it is no completion.
    """
    try:
        choices = _read_body(body).choices
    except _UNREADABLE as error:
        raise Broken("the answer is no completion") from error
    if not choices:
        raise Broken("the answer has no choice")
    words = choices[0].message or _Words(choices[0].text)
    return Sample(words.content or words.refusal or "", _logprobs(choices[0]) or None, choices[0].finish_reason)


def without_logprobs(data: bytes) -> bytes:
    """Return a JSON body or whole events without the members named logprobs; all other bytes as they came."""
    if b'"logprobs"' not in data:
        return data
    text = data.decode("latin-1")  # a character a byte, so that places in the text are places in the data
    kept, begin = [], 0
    for member in _MEMBER.finditer(text):
        if member.start() < begin:
            continue  # inside one that was cut
        try:
            end = _value_at(text, member.end())[1]
        except (ValueError, RecursionError):
            continue  # half a document: nothing that could be cut without guessing
        kept.append(data[begin : member.start()])
        comma = None if member[1] else _COMMA.match(text, end)
        begin = end if comma is None else comma.end()
    kept.append(data[begin:])
    return b"".join(kept)


def _logprobs(choice: _Choice) -> tuple[float, ...]:
    if choice.logprobs == _NOTHING:
        return ()
    try:
        told = _read_logprobs(choice.logprobs)
    except _UNREADABLE:
        return ()  # in a shape unknown here; the text counts all the same
    return () if told is None or told.content is None else tuple(token.logprob for token in told.content)
