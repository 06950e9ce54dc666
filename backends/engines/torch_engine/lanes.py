"""Which answers are computed together, and how many tokens of their prompts at once."""

from dataclasses import dataclass, field
from typing import Final

from backends.engines.torch_engine.answers import Answer
from backends.engines.torch_engine.rows import Rows

_PIECE_SECONDS: Final = 0.1
"""How long computing a piece of prompts may take: so long do running answers stand still, and cancelled ones run on."""

_FIRST_PIECE: Final = 64
"""Tokens of a piece before the model's pace is known."""

_LEAST_PIECE: Final = 8
_MOST_PIECE: Final = 8192

_PACE_WEIGHT: Final = 0.5
"""Of the latest piece in the mean of the pace."""


@dataclass(slots=True)
class Lane:
    """Answers of one adapter. Those that run have rows 0 to len(running)-1, in order; the others any other."""

    cache: Rows
    running: list[Answer] = field(default_factory=list)
    filling: list[Answer] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.running) + len(self.filling)

    def admit(self, answer: Answer) -> None:
        """Give an answer a row, so that its prompt can be computed."""
        taken = {one.row for one in self.filling}
        answer.row = next(row for row in range(len(self.running), len(self) + 1) if row not in taken)
        self.filling.append(answer)

    def promote(self, answer: Answer) -> None:
        """Have an answer whose prompt is computed run."""
        row = len(self.running)
        self.filling.remove(answer)
        other = next((one for one in self.filling if one.row == row), None)
        if other is not None:
            self.cache.swap(row, answer.row, length=max(other.computed, answer.computed))
            other.row = answer.row
        elif answer.row != row:
            self.cache.move(answer.row, row, length=answer.computed)
        answer.row = row
        self.running.append(answer)

    def remove(self, answer: Answer) -> None:
        """Give its row back."""
        if answer in self.filling:
            self.filling.remove(answer)
        else:
            last = self.running.pop()
            if last is not answer:
                self.cache.move(last.row, answer.row, length=last.computed)
                last.row = answer.row
                self.running[answer.row] = last
        if not len(self):
            self.cache.drop()


class Pace:
    """How many tokens of prompts are computed in one piece, by how long the latest pieces took."""

    def __init__(self) -> None:
        self._tokens = float(_FIRST_PIECE)

    @property
    def piece(self) -> int:
        """Return the tokens of the next piece, padding included."""
        return int(self._tokens)

    def learn(self, tokens: int, seconds: float) -> None:
        """Take note of what a piece took; a short one says more of a step than of its tokens."""
        if tokens < self._tokens / 4:
            return
        wanted = min(max(tokens / max(seconds, 1e-6) * _PIECE_SECONDS, _LEAST_PIECE), _MOST_PIECE)
        self._tokens += _PACE_WEIGHT * (wanted - self._tokens)
