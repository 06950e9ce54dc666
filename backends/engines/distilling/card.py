"""What a tuning came to -> `card.json` and `CARD.md` in its folder.

The card says whatever was measured, and whether the adapter is to be deployed; it holds no text of any example.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from backends.engines.desk.accuracy import Accuracy
from backends.engines.distilling.base import Compared, Part, TrainingRun, Verdict

JSON: Final = "card.json"
TEXT: Final = "CARD.md"

_TEMPLATE: Final = Path(__file__).parent / "card.md"
_VERDICTS: Final = {
    Verdict.DEPLOY: "It may be deployed",
    Verdict.HARMFUL: "Do not deploy it",
    Verdict.UNPROVEN: "Do not deploy it yet",
}
_PARTS: Final = {
    Part.SIMPLE: "simple: what it shall keep",
    Part.COMPLEX: "complex: what it was to learn",
    Part.ELSEWHERE: "complex, about anything: what it was not taught",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tuning came to.

    Attributes:
        base: the student's name.
        norms: a digest that tells the student from others of its shape.
        origin: where the examples come from.
        digest: of the examples.
        simple: how many of the examples were simple.
        parts: of the examination.
        margin: share of simple questions that may be lost.
        why: the verdict's reason.
        files: what the folder holds beside its card.
    """

    name: str
    base: str
    norms: str
    origin: str
    digest: str
    simple: int
    rank: int
    epochs: int
    seed: int
    run: TrainingRun
    parts: Mapping[Part, Compared]
    margin: float
    verdict: Verdict
    why: str
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return the verdict in words."""
        return f"{_VERDICTS[self.verdict]}: {self.why}."

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        run = self.run
        return {
            "name": self.name,
            "base": {"name": self.base, "norms": self.norms},
            "data": {
                "origin": self.origin,
                "sha256": self.digest,
                "examples": run.examples,
                "simple": self.simple,
                "too_long": run.too_long,
            },
            "training": {
                "rank": self.rank,
                "epochs": self.epochs,
                "seed": self.seed,
                "steps": run.steps,
                "tokens": run.tokens,
                "parameters": run.parameters,
                "first_loss": run.loss[0],
                "last_loss": run.loss[1],
                "seconds": round(run.seconds, 1),
            },
            "parts": {part.value: _part(compared) for part, compared in self.parts.items()},
            "margin": self.margin,
            "verdict": self.verdict.value,
            "why": self.why,
            "files": list(self.files),
        }


def write_card(folder: Path, outcome: Outcome) -> None:
    """Write both forms of the card, replacing what was there."""
    told = outcome.as_json()
    (folder / JSON).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    rows = [f"| {_PARTS[part]} | {cells(compared)} |" for part, compared in outcome.parts.items()]
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        told["training"],
        name=outcome.name,
        base=outcome.base,
        norms=outcome.norms[:16],
        origin=outcome.origin,
        digest=outcome.digest[:16],
        examples=f"{outcome.run.examples:,}",
        simple=f"{outcome.simple:,}",
        too_long=outcome.run.too_long,
        million=f"{outcome.run.tokens / 1e6:.1f}",
        loss="{:.3f} to {:.3f}".format(*outcome.run.loss),
        margin=f"{outcome.margin:.1%}",
        verdict=outcome.sentence,
        rows="\n".join(rows),
    )
    (folder / TEXT).write_text(text, encoding="utf-8")


def cells(compared: Compared) -> str:
    """Return one part's row of a table: before, after, gain, teacher."""
    teacher = "what counts as right" if compared.teacher is None else _share(compared.teacher)
    gain = f"{100 * compared.gain:+.1f} [{100 * compared.low:+.1f}, {100 * compared.high:+.1f}]"
    return f"{_share(compared.before)} | {_share(compared.after)} | {gain} | {teacher}"


def _share(accuracy: Accuracy) -> str:
    low, high = accuracy.interval()
    return f"{accuracy.right}/{accuracy.asked} = {accuracy.share:.1%} [{low:.1%}, {high:.1%}]"


def _part(compared: Compared) -> dict[str, Any]:
    return {
        "before": _accuracy(compared.before),
        "after": _accuracy(compared.after),
        "gain": compared.gain,
        "gain_interval": [compared.low, compared.high],
        "teacher": None if compared.teacher is None else _accuracy(compared.teacher),
    }


def _accuracy(accuracy: Accuracy) -> dict[str, Any]:
    return {
        "right": accuracy.right,
        "asked": accuracy.asked,
        "share": accuracy.share,
        "interval": list(accuracy.interval()),
    }
