"""Looks at llama.cpp, and which of them were answered -> whether the thread that computes is stuck.

llama.cpp says that it is well from another thread, which goes on when that one is lost: in a grammar that fits a text
in too many ways, for one. A look is answered between two laps of that thread, and a lap takes as long as the prompts in
it do. Pure: time is passed in.
"""

from collections.abc import Callable
from typing import Final

from backends.engines.llama_server.figures import Figures

STUCK_AFTER: Final = 5.0
"""Seconds without an answer after which the thread counts as stuck; a slow model gets longer."""

LAP: Final = 2048
"""Tokens of prompts that are computed in one lap at most: llama.cpp's `n_batch`."""

LAPS: Final = 4
"""Laps that are waited for: a prompt costs more where there is much before it, and machines are shared."""

SLOWEST: Final = 1e-10
"""Seconds of one token for each byte of the model, until it was measured: 0.4 s with 4 GB, on one thread."""

MEASURABLE: Final = 64
"""Tokens of prompts, below which the time that they took tells of something else."""


class Pulse:
    """What is known of the thread that computes.

    Args:
        size: of the model, bytes.
        clock: seconds.
    """

    def __init__(self, size: int, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._patience = self._patience_with(SLOWEST * size)
        self._since: float | None = None  # when the oldest look began that was not answered

    def __repr__(self) -> str:
        return f"<Pulse: {'waiting' if self.is_awaited else 'answered'}, {self._patience:.1f} s of patience>"

    @property
    def is_awaited(self) -> bool:
        """Tell whether a look was not answered yet."""
        return self._since is not None

    @property
    def is_stuck(self) -> bool:
        """Tell whether it has been silent for too long."""
        return self._since is not None and self._clock() - self._since > self._patience

    def look(self) -> None:
        """Take note that a look begins."""
        if self._since is None:
            self._since = self._clock()

    def answer(self, figures: Figures) -> None:
        """Take note of an answer, and of how fast the model is."""
        self._since = None
        if figures.computed >= MEASURABLE:
            self._patience = self._patience_with(figures.compute_seconds / figures.computed)

    @staticmethod
    def _patience_with(pace: float) -> float:
        return max(STUCK_AFTER, LAPS * LAP * pace)
