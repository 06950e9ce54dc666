"""Bytes that went in and came out -> the tokens that they were, where a backend told of none.

A reply that broke, a caller who hung up, a server that does not count: tokens were paid for all the same. What was
told for other requests says how many bytes of a model's prompts and replies make a token; the ratio of the sums is the
estimate, and the scatter about it is its standard error. Bytes are counted as they pass: no text is read, no
vocabulary is loaded. Thoughts that nobody sees are in the ratio as far as their share is the same each time.

Source: Cochran 1977, "Sampling Techniques", section 6.4 (ratio estimator and its variance by linearisation).
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

from backends.base import Usage

FEWEST: Final = 20
"""Requests below which a model's own ratio is not used."""

_FIRST: Final = 1_000  # requests that are all learnt from; of later ones one in
_ONE_IN: Final = 8
_MOST: Final = 4_096  # requests that a ratio remembers; then the older half of their weight is dropped
_MODELS: Final = 1_024
_PROMPT: Final = "prompt"
_WHOLE: Final = "whole"
_STREAM: Final = "stream"
_BYTES_A_TOKEN: Final = {_PROMPT: 4.0, _WHOLE: 5.0, _STREAM: 200.0}
"""Before anything is known: JSON of a prompt, a body with its frame, and an event of one token with all its fields."""


class Ratio:
    """Tokens a byte, from requests of which both are known."""

    __slots__ = ("_bytes", "_bytes_sq", "_cross", "_tokens", "_tokens_sq", "count")

    def __init__(self) -> None:
        self.count = 0.0
        self._bytes = self._tokens = self._bytes_sq = self._tokens_sq = self._cross = 0.0

    def learn(self, size: int, tokens: int) -> None:
        """Take one request."""
        if self.count >= _MOST:
            for name in self.__slots__:
                setattr(self, name, getattr(self, name) / 2)
        self.count += 1
        self._bytes += size
        self._tokens += tokens
        self._bytes_sq += size * size
        self._tokens_sq += tokens * tokens
        self._cross += size * tokens

    @property
    def value(self) -> float:
        """Return tokens a byte; 0.0 where nothing is known."""
        return self._tokens / self._bytes if self._bytes else 0.0

    @property
    def standard_error(self) -> float:
        """Return that of `value`; 0.0 where too little is known to tell."""
        return sqrt(self._scatter / self.count) * self.count / self._bytes if self._bytes else 0.0

    def error(self, size: float, *, count: int = 1) -> float:
        """Return the standard error of the sum of so many estimates, in tokens.

        Args:
            size: bytes of all of them together.
        """
        return sqrt((self.standard_error * size) ** 2 + count * self._scatter)

    @property
    def _scatter(self) -> float:
        """Return the variance of what one request's tokens are beside what the ratio says."""
        if self.count <= 1:
            return 0.0
        ratio = self.value
        squares = self._tokens_sq - 2 * ratio * self._cross + ratio * ratio * self._bytes_sq
        return max(squares, 0.0) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request took, as far as can be told from outside.

    Attributes:
        usage: all of its prompt counts as fresh.
        input_error, output_error: standard errors in tokens; None where nothing was learnt yet.
    """

    usage: Usage
    input_error: float | None
    output_error: float | None


class UsageEstimates:
    """The ratios of all models; touched by the loop alone."""

    def __init__(self) -> None:
        self._ratios: dict[tuple[str, str], Ratio] = {}
        self._seen = 0

    def is_due(self) -> bool:
        """Tell whether the reply at hand is one to learn from: of many, some are enough."""
        self._seen += 1
        return self._seen <= _FIRST or not self._seen % _ONE_IN

    def learn(self, model: str, usage: Usage, *, prompt: int, reply: int, stream: bool) -> None:
        """Take what a backend told of a whole reply.

        Args:
            prompt, reply: bytes; a prompt of 0 is not one of text alone, and is not learnt from.
        """
        if prompt:
            self._ratio(model, _PROMPT).learn(prompt, usage.total_input)
        self._ratio(model, _STREAM if stream else _WHOLE).learn(reply, usage.total_output)

    def estimate(self, model: str, *, prompt: int, reply: int, stream: bool) -> Estimate:
        """Return what was taken by a prompt and by what came of its reply, both in bytes."""
        tokens_in, input_error = self._estimated(model, _PROMPT, prompt)
        tokens_out, output_error = self._estimated(model, _STREAM if stream else _WHOLE, reply)
        usage = Usage(fresh_input=tokens_in, cached_input=None, output=tokens_out)
        return Estimate(usage, input_error, output_error)

    def ratio_of(self, model: str, kind: str) -> Ratio | None:
        """Return a model's ratio for "prompt", "whole" or "stream"; None where nothing was learnt."""
        return self._ratios.get((model, kind))

    def _estimated(self, model: str, kind: str, size: int) -> tuple[int, float | None]:
        ratio = self._ratios.get((model, kind))
        if ratio is None or ratio.count < FEWEST:
            return round(size / _BYTES_A_TOKEN[kind]), None
        return round(size * ratio.value), ratio.error(size)

    def _ratio(self, model: str, kind: str) -> Ratio:
        key = (model, kind)
        ratio = self._ratios.get(key)
        if ratio is None:
            ratio = Ratio()
            if len(self._ratios) < _MODELS:  # names come from the configuration; the bound is for those that do not
                self._ratios[key] = ratio
        return ratio
