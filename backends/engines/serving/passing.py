"""Pieces of one answer -> the same pieces on their way to the caller, counted.

Of an answer its frame is read, never its text.
"""

import re
from typing import Final

from backends.base import StreamBroken, Usage
from backends.engines.serving.metrics import Metrics
from backends.sse import StreamReader, read_reply

_FINISH: Final = re.compile(rb'"finish_reason"[ \t]*:[ \t]*"([a-z_]{1,32})"')


class Passing:
    """One answer, from the moment on when it has a place.

    Args:
        choices: how many texts it has.
        began: on the clock of the figures, when the request had come.
        strip_usage: a stream's usage is counted and not passed on.
    """

    __slots__ = ("_began", "_choices", "_first", "_metrics", "_reader")

    def __init__(self, metrics: Metrics, choices: int, *, began: float, strip_usage: bool) -> None:
        self._metrics, self._choices, self._began = metrics, choices, began
        self._reader = StreamReader(strip_usage=strip_usage)
        self._first: float | None = None
        self._observe("request_queue_time_seconds", metrics.clock() - began)

    @property
    def has_failed(self) -> bool:
        """Tell whether the engine itself told the caller of an error."""
        return self._reader.failed

    def take(self, piece: bytes) -> bytes:
        """Return what may go on of a stream's next piece.

        Raises:
            StreamBroken: an event is too long to be one.
        """
        passed = self._reader.feed(piece)
        if passed:
            self._metrics.came(passed.count(b"\n\n"))
            if self._first is None and self._reader.has_content:
                self._first = self._metrics.clock()
                self._observe("time_to_first_token_seconds", self._first - self._began)
            if b'"finish_reason":"' in passed or b'"finish_reason": "' in passed:
                self._count_reasons(passed)
        return passed

    def end(self) -> bytes:
        """Return what a stream still held back, and count the answer.

        Raises:
            StreamBroken: it is not whole.
        """
        rest = self._reader.finish()
        if not self._reader.finished:
            raise StreamBroken("the engine's stream ended before it was complete")
        self._settle(self._reader.usage)
        return rest

    def take_whole(self, body: bytes) -> None:
        """Count an answer that came in one piece.

        Raises:
            StreamBroken: it is not whole.
        """
        told = read_reply(body)
        if not told.is_whole:
            raise StreamBroken("the engine's answer is not complete")
        self._count_reasons(body)
        self._metrics.came(0 if told.usage is None else told.usage.total_output)
        self._settle(told.usage)

    def abort(self, why: str) -> None:
        """Count the answers as not ended: "abort" where the caller left, "error" where the engine broke."""
        self._metrics.finished[why] += self._choices

    def _settle(self, usage: Usage | None) -> None:
        now = self._metrics.clock()
        self._observe("e2e_request_latency_seconds", now - self._began)
        if usage is None:
            return
        self._metrics.prompt_tokens += usage.total_input
        self._metrics.generation_tokens += usage.total_output
        each = usage.total_output / self._choices
        if self._first is not None and each > 1:
            self._observe("time_per_output_token_seconds", (now - self._first) / (each - 1))

    def _count_reasons(self, passed: bytes) -> None:
        self._metrics.finished.update(reason.decode() for reason in _FINISH.findall(passed))

    def _observe(self, name: str, seconds: float) -> None:
        self._metrics.spans[name].observe(seconds)
