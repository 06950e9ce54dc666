"""Prompt's score and replies of Mini -> probability that the first reply is wrong.

Adds up what each sign in the replies is worth. Weights that keep agreement apart go further: the replies' agreement
decides, and all other signs together only order those with the same pattern of agreement. Weights are a JSON file with
one or several sets, checked whole before use, never pickled objects. Knows nothing of how they were found, needs the
standard library alone, and never raises, whatever the texts are.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from classifier.base import Contribution, Kind, Sample, WeightsError
from classifier.regular_files import read_regular
from classifier.verifying.replies import AGREEMENT, SIGNS, Pattern, Signs, signs_of

FORMAT: Final = "tandem-verify-1"
SHIPPED: Final = Path(__file__).parent / "weights" / "verify.json"
GENERAL: Final = "general"
"""The shipped set for any task: its ranks mean something, its probabilities are a guess made beforehand."""
DESK: Final = "desk"
"""The shipped set that was fitted on the local Mini's replies."""

_APART = 0.98  # of the way to the next pattern, which the other signs may use up
_EASE = 1.5  # logits of the other signs at which they have used up three quarters of their way
_HIGHEST = 30.0  # logits; beyond, a probability is told from 0 or 1 no more
_ALONE = 3.0  # logits that they may move where there is nothing to compare


@dataclass(frozen=True, slots=True)
class VerifierWeights:
    """What each sign is worth.

    Attributes:
        name: "general", "desk", or what the user chose.
        version: changes whenever any other field does.
        values: logits for each of `SIGNS`; positive speaks for wrong.
        intercept: logits.
        apart: agreement decides first, see the top of this file.
        fitted_on: counts and measures, for people; empty where nothing was fitted.
    """

    name: str
    version: str
    values: tuple[float, ...]
    intercept: float
    apart: bool
    fitted_on: dict[str, Any]


class Verifier:
    """Judges with one set of weights; safe to share between threads."""

    def __init__(self, weights: VerifierWeights) -> None:
        self.weights = weights
        self.source = f"{weights.name}@{weights.version}"

    def p_wrong(self, score: float, replies: Sequence[Sample], *, wanted: Kind | None = None) -> float:
        """Return the probability that the first reply is wrong, 0.0 to 1.0.

        Args:
            score: of the prompt, 0.0 to 1.0.
            replies: of Mini, the first is judged; none at all counts as an empty one.
            wanted: the form of answer that the prompt asks for, see `classifier.verifying.answers.wanted_by`.
        """
        logit = math.fsum(self._parts(signs_of(score, replies, wanted=wanted)))
        return 1.0 / (1.0 + math.exp(-max(-_HIGHEST, min(_HIGHEST, logit))))

    def explain(
        self, score: float, replies: Sequence[Sample], *, wanted: Kind | None = None, top: int
    ) -> tuple[Contribution, ...]:
        """Return the `top` signs that moved the probability most, in logits, strongest first."""
        parts = self._parts(signs_of(score, replies, wanted=wanted))[:-1]
        named = sorted(zip(SIGNS, parts, strict=True), key=lambda part: (-abs(part[1]), part[0]))
        return tuple(Contribution(name, weight) for name, weight in named[:top] if weight)

    def _parts(self, signs: Signs) -> list[float]:
        """Return each sign's part in the logit, then the intercept."""
        weights = self.weights
        parts = [weight * value for weight, value in zip(weights.values, signs.values, strict=True)]
        if weights.apart:
            raw = math.fsum(parts[AGREEMENT:])
            share = _room(raw, signs.pattern, weights.values) / raw if raw else 0.0
            parts[AGREEMENT:] = [part * share for part in parts[AGREEMENT:]]
        parts.append(weights.intercept)
        return parts


def _room(raw: float, pattern: Pattern, values: Sequence[float]) -> float:
    """Return how far the signs beside agreement move the logit: never past half of the way to the next pattern."""
    if not pattern.compared:
        return _ALONE * math.tanh(raw / _ALONE)
    here = _level(pattern, values)
    beside = _neighbours(pattern)[raw > 0]
    limit = _ALONE if beside is None else abs(_level(beside, values) - here) / 2 * _APART
    return limit * math.tanh(raw / _EASE)


def _level(pattern: Pattern, values: Sequence[float]) -> float:
    if not pattern.against:
        return 0.0
    scatter = (pattern.ways - 1) / pattern.against / pattern.compared
    return values[0] * pattern.against / pattern.compared + values[1] * scatter


def _neighbours(pattern: Pattern) -> tuple[Pattern | None, Pattern | None]:
    """Return the patterns of as many replies that speak a little less, and a little more, against the first."""
    compared, against, ways = pattern.compared, pattern.against, pattern.ways
    less: Pattern | None = Pattern(compared, against, ways - 1)
    if ways <= 1:
        less = Pattern(compared, against - 1, against - 1) if against else None
    more: Pattern | None = Pattern(compared, against, ways + 1)
    if ways == against:
        more = Pattern(compared, against + 1, 1) if against < compared else None
    return less, more


# --- the file --------------------------------------------------------------------------------------------


def digest() -> str:
    """Return a fingerprint of the signs: weights for other ones cannot be used."""
    return hashlib.sha256("\n".join(SIGNS).encode()).hexdigest()


def dump(sets: Sequence[VerifierWeights]) -> str:
    """Return the text of a weights file; equal weights give equal text."""
    content = {
        "format": FORMAT,
        "signs": SIGNS,
        "digest": digest(),
        "sets": {
            one.name: {
                "version": one.version,
                "apart": one.apart,
                "intercept": one.intercept,
                "values": one.values,
                "fitted_on": one.fitted_on,
            }
            for one in sets
        },
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: Path | None = None, *, name: str | None = None) -> Verifier:
    """Return a verifier with one set of weights of a file.

    Args:
        path: made by `dump`; None takes the shipped file.
        name: of the set; None takes "general" where the file has it, or else the only one.

    Raises:
        WeightsError: the file is missing, damaged, for other signs, or has no such set.
    """
    path = path or SHIPPED
    try:
        content = json.loads(read_regular(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: weights cannot be read: {reason}; {_ADVICE}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: weights are not JSON; {_ADVICE}") from error
    try:
        sets = _sets(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{path}: weights are damaged: {reason}; {_ADVICE}") from error
    if name is None:
        name = GENERAL if GENERAL in sets or len(sets) != 1 else next(iter(sets))
    if name not in sets:
        raise WeightsError(f"{path}: no set of weights is named {name!r}; it has {', '.join(sets) or 'none'}")
    return Verifier(sets[name])


_ADVICE = "fit them with ./tandem train-verifier"


def _sets(content: dict[str, Any]) -> dict[str, VerifierWeights]:
    if content["format"] != FORMAT:
        raise ValueError(f"format is {content['format']!r}, this code reads {FORMAT}")
    if content["digest"] != digest() or tuple(content["signs"]) != SIGNS:
        raise ValueError("they were made for other signs than this code looks for")
    return {str(name): _weights(str(name), one) for name, one in content["sets"].items()}


def _weights(name: str, content: dict[str, Any]) -> VerifierWeights:
    values = tuple(map(float, content["values"]))
    intercept = float(content["intercept"])
    if len(values) != len(SIGNS):
        raise ValueError(f"set {name!r} holds {len(values)} numbers where {len(SIGNS)} belong")
    if not all(-_LARGEST <= value <= _LARGEST for value in (*values, intercept)):
        raise ValueError(f"set {name!r} holds a number that is not finite, or beyond {_LARGEST:g}")
    if not isinstance(content["apart"], bool):
        raise TypeError(f"set {name!r} does not say whether agreement is kept apart")
    if content["apart"] and not 0 < values[1] < values[0]:
        raise ValueError(
            f"set {name!r} keeps agreement apart, so dissent must be worth more than scatter, and both more than 0"
        )
    return VerifierWeights(
        name, str(content["version"]), values, intercept, content["apart"], dict(content["fitted_on"])
    )


_LARGEST = 1e4
