"""The words of distillation: what is learnt, by whom, and how well it is known afterwards. No I/O.

The *student* is the model that is fine-tuned, Mini; the *teacher* the one that it learns from, Large.

ExamplesError    what the student shall learn cannot be used; `ModelRefused` says so of the student itself
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from backends.engines.desk.accuracy import Accuracy
from backends.engines.engine_options import Kind

Say = Callable[[str], None]
"""Told in one line what is going on."""


class ExamplesError(ValueError):
    """Examples cannot be used; the message names file, line and column where there are any."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: str
    text: str

    def plain(self) -> dict[str, str]:
        """Return it as chat templates and requests have it."""
        return {"role": self.role, "content": self.text}


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation with the teacher's answer.

    Attributes:
        messages: the last one is the user's.
        answer: what the teacher said; never blank.
        is_simple: of the kind that the student answers already, and shall go on answering.
        group: examples of one group are about the same question and never stand on both sides of a split.
    """

    messages: tuple[Message, ...]
    answer: str
    is_simple: bool
    group: str


@dataclass(frozen=True, slots=True)
class Student:
    """A model that can be fine-tuned.

    Attributes:
        source: the GGUF file, or the folder, that it was read from.
        engine: what serves it.
        model: a transformers causal LM.
        tokenizer: of transformers, with a chat template.
        name: its own, for the adapter to say whose it is.
        norms: a digest of its norms, which no quantisation changes; tells models of one shape apart.
    """

    source: Path
    engine: Kind
    model: Any
    tokenizer: Any
    name: str
    norms: str


class Part(StrEnum):
    """Which questions of an examination: those it shall keep, those it shall learn, those it need not."""

    SIMPLE = "simple"
    COMPLEX = "complex"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Case:
    """One question of an examination.

    Attributes:
        answer: a right one, by whose length a reply is limited.
        is_right: tells whether a reply is; None where it cannot be told.
    """

    part: Part
    messages: tuple[Message, ...]
    answer: str
    is_right: Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class Compared:
    """How the student did on one part, without and with what it learnt, on the same questions.

    Attributes:
        gain: share of right replies after less that before; between `low` and `high` with 95 %.
        teacher: on the same questions; None where its answers are what counts as right.
    """

    before: Accuracy
    after: Accuracy
    gain: float
    low: float
    high: float
    teacher: Accuracy | None = None


class Verdict(StrEnum):
    """What follows from an examination."""

    DEPLOY = "deploy"
    HARMFUL = "harmful"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a training run took.

    Attributes:
        examples: that were learnt, each `epochs` times.
        too_long: that were left out, since the student's context does not hold them.
        tokens: seen, padding aside.
        parameters: that were trained.
        loss: mean of the first and of the last epoch, in nats a token of the answers.
        seconds: of wall time.
    """

    examples: int
    too_long: int
    steps: int
    tokens: int
    parameters: int
    loss: tuple[float, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Exam:
    """What is asked before and after, and what the teacher answered to it.

    Attributes:
        teacher: by part; a part that is not there is measured by the teacher itself.
    """

    cases: Sequence[Case]
    teacher: Mapping[Part, Accuracy]
