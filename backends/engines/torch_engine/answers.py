"""What is computed for one request: its answers, and what they tell while they grow.

A job is one request. Its answers share the prompt; each has tokens, text and chance of its own. What happens to them is
told in events, which `wire.py` writes out.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from backends.engines.base import EngineError
from backends.engines.torch_engine.base import PrefixKv
from backends.engines.torch_engine.sampling import Chooser, Chosen
from backends.engines.torch_engine.spelling import Text
from backends.engines.torch_engine.tokenising import Tokenizer
from backends.engines.torch_engine.wanted import Wanted

STOP: Final = "stop"
LENGTH: Final = "length"


class Grown(Struct, frozen=True):
    """An answer has more text, or is complete.

    Attributes:
        choice: its index.
        tokens: that it has now, in all.
        chosen: tokens that were taken since the last event, with their logprobs, where these were asked for.
        finish: why it is complete: "stop" or "length"; "" while it is not.
    """

    choice: int
    text: str
    tokens: int
    chosen: tuple[Chosen, ...] = ()
    finish: str = ""


class Failed(Struct, frozen=True):
    """The whole job ended without its answers."""

    error: EngineError


Event = Grown | Failed


class Job:
    """One request.

    Attributes:
        cancelled: nobody wants it any more; set by any thread, seen by the compute thread.
        cached: tokens of the prompt whose KV was found.
        open: answers that are not complete.
    """

    def __init__(self, wanted: Wanted, *, adapter: str, salt: str, choices: int, prefix: PrefixKv | None) -> None:
        self.wanted, self.adapter, self.salt, self.choices = wanted, adapter, salt, choices
        self.prefix = prefix
        self.cached = 0
        self.cancelled = False
        self.open = choices


class Answer:
    """One answer while it is computed; touched by the compute thread alone.

    Attributes:
        ids: tokens of prompt and answer.
        computed: how many of them have KV in the row.
        row: where that is; -1 while it has none.
        seconds: that computing its prompt has taken so far.
        chooser: how its next token is chosen.
        finish: why it is complete; "" while it is not.
    """

    __slots__ = "_ends _pending _text choice chooser computed finish ids job row seconds".split()

    def __init__(self, job: Job, choice: int, *, tokenizer: Tokenizer, ends: frozenset[int]) -> None:
        wanted = job.wanted
        before: Sequence[int] = () if wanted.begins else wanted.prompt
        self.job, self.choice = job, choice
        self.ids = list(wanted.prompt)
        self.computed, self.row, self.seconds = 0, -1, 0.0
        self.finish = ""
        self._ends = frozenset() if wanted.ignores_end else ends
        self._text = Text(tokenizer.speller(before), wanted.stops)
        self.chooser = Chooser.of(wanted.sampling, wanted.prompt, choice=choice)
        self._pending: list[Chosen] = []

    @property
    def prompt(self) -> int:
        """Return the tokens of its prompt."""
        return len(self.job.wanted.prompt)

    @property
    def uncomputed(self) -> list[int]:
        """Return tokens that have no KV yet."""
        return self.ids[self.computed :]

    @property
    def left(self) -> int:
        """Return how many tokens it may still get."""
        return self.job.wanted.limit - (len(self.ids) - self.prompt)

    def take(self, chosen: Chosen) -> Grown | None:
        """Add a token; return what is to be told, None where its text is not whole yet."""
        token = chosen.token
        self.ids.append(token)
        self.chooser.take(token)
        if self.chooser.sampling.logprobs is not None:
            self._pending.append(chosen)
        if token in self._ends:
            self.finish = STOP
            text = self._text.flush()
        else:
            text = self._text.push(token)
            if self._text.stopped:
                self.finish = STOP
            elif self.left < 1:
                self.finish = LENGTH
                text += self._text.flush()
        if self._text.stopped:  # flushing may have found one too
            self.finish = STOP
        if not text and not self.finish:
            return None
        told, self._pending = tuple(self._pending), []
        return Grown(self.choice, text, len(self.ids) - self.prompt, told, self.finish)
