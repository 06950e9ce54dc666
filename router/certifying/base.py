"""The words of certifying: what is asked, what is said, what it is worth.

Two models answer the same cases: the incumbent, which has the traffic, and the candidate, which is to get it. A suite
makes cases from a seed; a plan is a slice of them, with its margin fixed before anything is asked. No I/O.

CertifyingError          nothing can be certified; the message says why
  FilesError             a file of cases cannot be used; names file, line and column
  NoAnswer               a model does not answer at all
  PatternTooSlow         a pattern takes longer on a reply than it may
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from msgspec import Struct

from router.certificate import Guards

MARGIN: Final = 0.05
"""Of a slice for which no other is given."""

ABLE: Final = 0.1
"""Share right that a model must surely exceed to be called able, where guessing gets nothing."""

SHOWN: Final = 160
"""Characters of a text that a report shows."""


class CertifyingError(Exception):
    """Nothing can be certified."""


class FilesError(CertifyingError):
    """A file of cases cannot be used; the message names file, line and column."""


class NoAnswer(CertifyingError):
    """A model does not answer at all."""


class PatternTooSlow(CertifyingError):
    """A pattern takes longer on a reply than it may."""


class Said(Struct, frozen=True):
    """One whole reply of a model.

    Attributes:
        calls: name and arguments of each tool that it calls; the arguments as it wrote them.
        tokens: of the prompt, as the backend counted them; 0 where it did not.
        refusal: why the backend would not take the request; "" where it did. Then nothing was said.
    """

    text: str
    calls: tuple[tuple[str, str], ...] = ()
    tokens: int = 0
    refusal: str = ""


class Mark(Struct, frozen=True):
    """What one model's replies to one case are worth.

    Attributes:
        score: 0.0 to 1.0.
        label: the class that it chose, for figures that are no means; "" where it chose none.
        fault: why nothing can be said of what they are worth; "" where that can be.
    """

    score: float
    label: str = ""
    fault: str = ""


Check = Callable[[Sequence[Said]], Mark]
"""Replies to the bodies of a case, in their order -> what they are worth; pure."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question to both models.

    Attributes:
        id: unique within its slice, the same at each run with the same seed.
        bodies: chat requests without a model, one or more, each asked apart from the others.
        check: what replies are worth; None where the incumbent's first reply is what is wanted, and `agrees` compares.
        agrees: (wanted, said) -> worth, for cases without a check.
        wanted: in words, for a report.
        gold: the right class, for figures that are no means.
    """

    id: str
    bodies: tuple[Mapping[str, Any], ...]
    check: Check | None = None
    agrees: Callable[[Said, Said], Mark] | None = None
    wanted: str = ""
    gold: str = ""

    @property
    def asked(self) -> str:
        """Return the end of the last message, for a report."""
        content = self.bodies[-1]["messages"][-1].get("content")
        return content[-SHOWN:] if isinstance(content, str) else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One slice of a suite, before anything is asked.

    Attributes:
        name: unique among all slices.
        measures: figures that each have to keep the margin, the slice's own first: those of `measures.py`, or another
            word for the mean of the marks' scores.
        guards: requests that it speaks for.
        cases: makes as many cases as are wanted, or as there are, from a seed.
        margin: that holds where no other is given.
        floor: mean score that guessing gets; the incumbent has to be surely above it.
        guess: tells it from the right classes, where it depends on them; None where it does not.
        features: what a backend needs, in the words of `Capabilities`.
        tokens: that the shortest of its prompts surely has.
        is_private: the text is a tenant's: no report shows it.
    """

    name: str
    guards: Guards
    cases: Callable[[int, int], Iterator[Case]]
    measures: tuple[str, ...] = ("right",)
    margin: float = MARGIN
    floor: float = ABLE
    guess: Callable[[Sequence[str]], float] | None = None
    features: tuple[str, ...] = ()
    tokens: int = 0
    is_private: bool = False


class Suite(Protocol):
    """A family of slices."""

    @property
    def name(self) -> str:
        """Return its name on the command line."""
        ...

    @property
    def data(self) -> str:
        """Return where its cases come from: "built in", or the digest of a file."""
        ...

    def plans(self) -> Sequence[Plan]:
        """Return its slices.

        Raises:
            FilesError: a file that it reads cannot be used.
        """
        ...


def spoken(text: str, *, system: str = "") -> list[dict[str, str]]:
    """Return the messages of one question."""
    asked = {"role": "user", "content": text}
    return [{"role": "system", "content": system}, asked] if system else [asked]


def is_right(right: bool) -> Mark:  # noqa: FBT001 - it is what the mark is of
    """Return the mark of what is right or wrong."""
    return Mark(1.0 if right else 0.0)
