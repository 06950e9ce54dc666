"""What drafting cost and gained -> how many tokens to draft next.

Drafting pays where the draft model is right often enough for what it and the longer verification cost. Both are
measured while answers are written, since they depend on the question, the models and the machine: on a mixture of
experts, a longer verification visits more experts. No model is known here.
"""

from dataclasses import dataclass
from typing import Final

LENGTHS: Final = (0, 2, 4, 8)
"""Tokens that may be drafted in one round; 0 is none, the model's own next token alone."""

_HOPED: Final = 0.7
"""Share of right tokens that is taken for granted until there is a reading."""

_WEIGHT: Final = 0.1
"""Of the latest round in the mean of what a round costs."""

_TOKEN_WEIGHT: Final = 0.03
"""Of the latest token in the share of right ones."""

_ALWAYS: Final = 0.999
_SHORTEST: Final = 1e-6  # seconds

_READINGS: Final = 8
"""Rounds of one length until what it costs is believed: the draft model's reading of a prompt lies in one of many."""

_LOOK_AGAIN: Final = 512
"""Rounds without a draft after which it is tried again for 8 rounds: other questions may be easier to foretell."""


class DraftLength:
    """Chooses the length that gives most tokens a second.

    With a share a of right tokens, a round that drafts k gives (1 - a**(k+1)) / (1 - a) tokens on average, the one that
    the model adds itself included.

    Source: Leviathan, Kalman and Matias 2023, "Fast Inference from Transformers via Speculative Decoding", equation 1.

    Attributes:
        acceptance: share of drafted tokens that were right, of those that were looked at; 0.0 to 1.0.
    """

    def __init__(self) -> None:
        self.acceptance = _HOPED
        self._costs = {length: _Mean() for length in LENGTHS}  # seconds of one round
        self._plain = 0  # rounds without a draft since the last trial
        self._trial = 0  # rounds that are left of it

    @property
    def pays(self) -> bool:
        """Tell whether some length is better than none; no, until that is known."""
        return self._is_known and self._best() > 0

    def next(self, at_most: int) -> int:
        """Return how many tokens to draft now, 0 for none; at most `at_most`."""
        if not self._is_known:
            return 0
        length = self._best()
        if length == 0 and self._plain >= _LOOK_AGAIN:
            self._plain, self._trial = 0, _READINGS
        if length == 0 and self._trial > 0:
            self._trial -= 1
            length = LENGTHS[1]
        return max(0, min(length, at_most))

    def observe(self, *, proposed: int, accepted: int, seconds: float) -> None:
        """Learn from one round.

        Args:
            proposed: tokens that were drafted; 0 for none.
            accepted: those of them that were right, all before the first wrong one.
            seconds: that drafting and verifying took together.
        """
        if proposed == 0:
            self._plain += 1
        for place in range(min(accepted + 1, proposed)):
            self.acceptance += _TOKEN_WEIGHT * ((place < accepted) - self.acceptance)
        if proposed in self._costs:
            self._costs[proposed].add(seconds)

    @property
    def _is_known(self) -> bool:
        """Tell whether there is something that drafting can be compared with."""
        return self._costs[0].readings >= _READINGS

    def _best(self) -> int:
        return max(LENGTHS, key=lambda length: self._tokens(length) / self._seconds(length))

    def _tokens(self, length: int) -> float:
        right = min(self.acceptance, _ALWAYS)
        return (1 - right ** (length + 1)) / (1 - right)

    def _seconds(self, length: int) -> float:
        """Return what a round costs; one that was tried too seldom is taken to cost what the next shorter one does.

        That is too little, so each length is tried while it may pay, and known then.
        """
        cost = self._costs[length]
        if length and cost.readings < _READINGS:
            return self._seconds(LENGTHS[LENGTHS.index(length) - 1])
        return max(cost.value, _SHORTEST)


@dataclass(slots=True)
class _Mean:
    """A mean that forgets: the plain mean of the first ten readings, and then one of about the last ten."""

    value: float = 0.0
    readings: int = 0

    def add(self, reading: float) -> None:
        self.readings += 1
        self.value += max(_WEIGHT, 1 / self.readings) * (reading - self.value)
