"""The words of scoring: what may be looked at, what comes out. No I/O.

ClassifierError              the caller falls back to its default tier
  WeightsError               the weights are missing, damaged or of another version
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

TURNS_SEEN = 32  # of a conversation; older ones are not looked at


class ClassifierError(Exception):
    """No score could be given."""


class WeightsError(ClassifierError):
    """The weights cannot be used with this code; the message names file and reason."""


class Turn(Struct, frozen=True):
    """One message of a conversation; `text` is empty where it has none (images, tool calls)."""

    role: str
    text: str


class Prompt(Struct, frozen=True):
    """What a classifier may look at.

    Attributes:
        turns: the conversation, oldest first.
        tools: how many tools the caller offers.
        max_tokens: the caller's limit on the answer, None when it set none.
        tenant: whose calibration counts; "" for everybody's.
    """

    turns: tuple[Turn, ...]
    tools: int = 0
    max_tokens: int | None = None
    tenant: str = ""

    @property
    def has_text(self) -> bool:
        """Tell whether anything was said: pictures, tool calls and instructions alone have no score."""
        for turn in reversed(self.turns[-TURNS_SEEN:]):
            if turn.text and turn.role not in ("system", "developer") and not turn.text.isspace():
                return True
        return False


class Score(Struct, frozen=True):
    """How likely it is that Mini is not enough.

    Attributes:
        value: calibrated probability, 0.0 to 1.0.
        source: "name@version" of what scored.
    """

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature's part in a score; `weight` is in logits, positive means towards Large."""

    feature: str
    weight: float


class Classifier(Protocol):
    """Prompt -> score."""

    @property
    def threshold(self) -> float:
        """Return the score from which Large was worth its price on the data that this was fitted on."""
        ...

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole.

        Raises:
            ClassifierError: this prompt cannot be scored.
        """
        ...

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the `top` features that moved the score most, strongest first."""
        ...


class Kind(StrEnum):
    """What form an answer has."""

    NUMBER = "number"
    CHOICE = "choice"
    VERDICT = "verdict"  # yes or no
    MOMENT = "moment"  # a date, a time of day or both
    JSON = "json"
    CODE = "code"
    TEXT = "text"


class Sample(Struct, frozen=True):
    """One reply of Mini, whole or as far as it has come.

    Attributes:
        text: what it says.
        logprobs: natural logarithms of the probabilities of its tokens, in order; None where the backend gave none.
        finish_reason: why it ended, in the words of the OpenAI API; None while it has not.
    """

    text: str
    logprobs: tuple[float, ...] | None = None
    finish_reason: str | None = None


class Verifier(Protocol):
    """A score and what Mini replied -> how likely the first reply is wrong."""

    @property
    def source(self) -> str:
        """Return "name@version" of the weights."""
        ...

    def p_wrong(self, score: float, replies: Sequence[Sample], *, wanted: Kind | None = None) -> float:
        """Return the calibrated probability that `replies[0]` is wrong, 0.0 to 1.0.

        Args:
            score: of the prompt, before anything was replied.
            replies: at least one; the others were drawn apart from it, and only judge it.
            wanted: the form of answer that the prompt asks for; None where it does not say so.
        """
        ...
