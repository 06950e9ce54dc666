"""Scored rows -> figures of all of them and of each slice.

A slice is the rows that have one value in some column. Knows nothing of files, nor of what gave the scores.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.curves import Panel
from classifier.evaluation import REPORTED, Estimate, baselines, evaluate
from classifier.measures import Outcomes, Reals, curve

ROUTER = "router"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What was scored, and its scores.

    Attributes:
        name: of the slice; "" where a row has no value to slice by.
        scores, lengths: shape (n,); lengths in characters.
        sources: each row's value of the column to slice by.
    """

    name: str
    outcomes: Outcomes
    scores: Reals
    lengths: Reals
    sources: tuple[str, ...]

    def slices(self) -> list["Rows"]:
        """Return the rows of each source."""
        return [self._slice(source) for source in sorted(set(self.sources))]

    def _slice(self, source: str) -> "Rows":
        here = np.array([each == source for each in self.sources])
        sources = (source,) * int(here.sum())
        return Rows(source, self.outcomes.take(here), self.scores[here], self.lengths[here], sources)

    def all_scores(self) -> dict[str, Reals]:
        """Return the router's scores, and those that no classifier gave."""
        return {ROUTER: self.scores, **baselines(self.outcomes, self.lengths)}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rows and their figures, by score and figure."""

    rows: Rows
    found: dict[str, dict[str, Estimate]]

    @property
    def title(self) -> str:
        """Return what people read."""
        return self.rows.name or "(no value)"

    def as_json(self) -> dict[str, Any]:
        """Return the figures; `reason` stands where something is null, `expected` where it is known without data."""
        said: dict[str, Any] = {
            name: {key: _plain(one) for key, one in figures.items()} for name, figures in self.found.items()
        }
        said["random"]["apgr"]["expected"] = 0.5
        return said

    def counts(self) -> dict[str, int]:
        """Return how many rows and groups there are."""
        return {"rows": len(self.rows.scores), "groups": self.rows.outcomes.group_count}

    def panel(self) -> Panel:
        """Return what the picture shows."""
        lines = {name: curve(scores, self.rows.outcomes) for name, scores in self.rows.all_scores().items()}
        lines["random"] = lines.pop("constant")  # what a random score has on average, and a constant exactly
        apgr = self.found[ROUTER]["apgr"]
        note = f"APGR {apgr.words()} {apgr.interval_words()}" if apgr.value is not None else "no gap to recover"
        known = {name: line for name, line in lines.items() if line is not None}
        return Panel(self.title, f"{len(self.rows.scores):,} rows; {note}", known)

    def reasons(self) -> list[str]:
        """Return why something of the router's is missing, each reason once."""
        reason_of = {figure: self.found[ROUTER][figure].reason for figure in REPORTED}
        return [
            f"{self.title}: {', '.join(figure for figure in REPORTED if reason_of[figure] == reason)}: {reason}"
            for reason in dict.fromkeys(filter(None, reason_of.values()))
        ]


def judge(rows: Rows, *, resamples: int, seed: int, large_cost_ratio: float) -> Judged:
    """Return the figures of rows; the arguments are those of `classifier.evaluation.evaluate`."""
    found = evaluate(
        rows.all_scores(), rows.outcomes, resamples=resamples, seed=seed, large_cost_ratio=large_cost_ratio
    )
    return Judged(rows, found)


def _plain(found: Estimate) -> dict[str, Any]:
    plain = {"value": found.value, "low": found.low, "high": found.high}
    return {**plain, "reason": found.reason} if found.reason else plain
