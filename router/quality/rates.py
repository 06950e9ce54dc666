"""Counts of replies -> shares with their intervals and how much they rest on: what `tandem quality` tells.

No share without how many it is of, and no figure of users without how many of them spoke: who does is no sample of the
others, so such figures compare arms and are no level. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from router.ledger.reply_counts import Compared, Counts, Group, Told
from router.quality.judging import INCONSISTENT
from router.quality.win_rates import Judged, WinRate, win_rate
from router.statistics.estimates import estimated
from router.statistics.proportions import wilson

GRADERS: Final = "agreement@"
"""How those begin that compare answers by rule; everybody else is a judge."""
MISSING: Final = "users who tell are not like those who do not: compare arms, and take no share for a level"


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of things.

    Attributes:
        found: how many; halves count where a tie is one.
        of: how many were looked at.
    """

    found: float
    of: int

    def as_json(self) -> dict[str, object]:
        """Return the share with its 95 % interval by Wilson; None where nothing was looked at."""
        if not self.of:
            return {"value": None, "low": None, "high": None, "of": 0}
        low, high = wilson(self.found, self.of)
        return {"value": self.found / self.of, "low": low, "high": high, "of": self.of}


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over replies.

    Attributes:
        value: None where it is of nothing.
        interval: of 95 %, by unit, since replies to one user are alike; None where there are fewer than two units.
        of: how many replies.
    """

    value: float | None
    interval: tuple[float, float] | None
    of: int


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one tier's replies, or of one arm's.

    Attributes:
        judges: agreement by who compared the replies.
    """

    counts: Counts
    agreement: Mapping[str, Rate]
    judged: Mapping[str, WinRate]

    @property
    def coverage(self) -> Rate:
        """Return the share of answers that were looked at."""
        return Rate(min(self.counts.assessed, self.counts.answered), self.counts.answered)

    @property
    def rates(self) -> dict[str, Rate]:
        """Return the shares by their names."""
        counts = self.counts
        return {
            "repetitive": Rate(counts.repetitive, counts.assessed - counts.empty),
            "repetition_written": Rate(counts.over_thresholds, counts.thresholded),
            "empty": Rate(counts.empty, counts.assessed),
            "truncated": Rate(counts.truncated, counts.assessed),
            "incomplete": Rate(counts.incomplete, counts.assessed),
            "refusal": Rate(counts.refusal, counts.assessed),
            "failed_checks": Rate(counts.failed_checks, counts.checked),
            "regenerated": Rate(counts.again, counts.known),
        }

    @property
    def mean_logprob(self) -> Mean:
        """Return the mean over replies of their tokens' mean log-probability; of one model, it can be compared."""
        return _mean(self.counts.logprobs)

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        counts, logprob = self.counts, self.mean_logprob
        return {
            "answered": counts.answered,
            "assessed": counts.assessed,
            "coverage": self.coverage.as_json(),
            "rates": {name: rate.as_json() for name, rate in self.rates.items()},
            "mean_logprob": logprob.value,
            "logprob_interval_95": logprob.interval,
            "with_logprob": logprob.of,
            "agreement": {name: rate.as_json() for name, rate in self.agreement.items()},
            "judges": {name: _won(won) for name, won in self.judged.items()},
            "signals": {f"{told.kind} by {told.teller}": _told(told, counts.answered) for told in counts.told},
        }


def parts_by_tier(counts: Mapping[Group, Counts], compared: Iterable[Compared]) -> dict[str, Part]:
    """Return what is known by who answered."""
    pairs = list(compared)
    tiers = sorted({group.tier for group in counts})
    return {
        tier: _part(
            [each for group, each in counts.items() if group.tier == tier],
            [pair for pair in pairs if pair.group.tier == tier],
        )
        for tier in tiers
    }


def parts_by_arm(counts: Mapping[Group, Counts], compared: Iterable[Compared]) -> dict[tuple[str, str], Part]:
    """Return what is known by experiment and arm; requests outside of all experiments are left out."""
    pairs = list(compared)
    arms = sorted({(group.experiment, group.arm) for group in counts if group.experiment})
    return {
        arm: _part(
            [each for group, each in counts.items() if (group.experiment, group.arm) == arm],
            [pair for pair in pairs if (pair.group.experiment, pair.group.arm) == arm],
        )
        for arm in arms
    }


def judge_shares(won: WinRate) -> dict[str, Rate]:
    """Return how often a judge held Mini's reply for at least as good, changed with the order, and people judged too.

    The first is raw: judges lean, and no number of pairs takes that out.
    """
    pairs = won.pairs
    return {
        "raw_win_rate": Rate((won.raw or 0.0) * pairs, pairs),
        "inconsistency": Rate((won.inconsistency or 0.0) * pairs, pairs),
        "labelled": Rate(won.labels, pairs),
    }


def _part(counts: list[Counts], pairs: list[Compared]) -> Part:
    by_judge: dict[str, list[Compared]] = {}
    for pair in pairs:
        by_judge.setdefault(pair.judge.partition(" ")[0], []).append(pair)
    return Part(
        counts=_summed(counts),
        agreement={name: _agreement(found) for name, found in sorted(by_judge.items())},
        judged={name: _judged(found) for name, found in sorted(by_judge.items()) if not name.startswith(GRADERS)},
    )


def _agreement(pairs: list[Compared]) -> Rate:
    """Return how often Mini's reply is no worse than Large's; a verdict that changed with the order is half of one."""
    halves = sum(1 for pair in pairs if pair.judge.endswith(INCONSISTENT))
    sure = sum(1 for pair in pairs if pair.agreement >= 0.5 and not pair.judge.endswith(INCONSISTENT))  # noqa: PLR2004 - a tie
    return Rate(sure + halves / 2, len(pairs))


def _judged(pairs: list[Compared]) -> WinRate:
    return win_rate(
        Judged(
            requests=tuple(pair.request for pair in pairs),
            verdicts=tuple(pair.agreement for pair in pairs),
            inconsistent=sum(1 for pair in pairs if pair.judge.endswith(INCONSISTENT)),
            labels={pair.request: pair.label for pair in pairs if pair.label is not None},
            units=tuple(pair.unit for pair in pairs),
        )
    )


def _summed(counts: list[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        for name in (field.name for field in fields(Counts) if field.name not in {"told", "logprobs"}):
            setattr(total, name, getattr(total, name) + getattr(each, name))
        for unit, (replies, logprob) in each.logprobs.items():
            before = total.logprobs.get(unit, (0, 0.0))
            total.logprobs[unit] = before[0] + replies, before[1] + logprob
    by_kind: dict[tuple[str, str], Told] = {}
    for told in (told for each in counts for told in each.told):
        same = by_kind.get((told.kind, told.teller))
        by_kind[told.kind, told.teller] = told if same is None else _more(same, told)
    total.told = [told for _, told in sorted(by_kind.items())]
    return total


def _more(one: Told, other: Told) -> Told:
    return replace(
        one,
        requests=one.requests + other.requests,
        value=one.value + other.value,
        repeats=one.repeats + other.repeats,
    )


def _mean(by_unit: Mapping[str, tuple[int, float]]) -> Mean:
    replies = sum(count for count, _ in by_unit.values())
    if not replies:
        return Mean(None, None, 0)
    mean = sum(total for _, total in by_unit.values()) / replies
    if len(by_unit) < 2:  # noqa: PLR2004 - of one, nothing is known of how they differ
        return Mean(mean, None, replies)
    parts = np.array([(total - count * mean) / replies for count, total in by_unit.values()])
    found = estimated(mean, parts)
    return Mean(mean, (found.low, min(0.0, found.high)), replies)


def _told(told: Told, answered: int) -> dict[str, object]:
    return {
        "requests": told.requests,
        "mean": told.value / told.requests if told.requests else None,
        "coverage": min(1.0, told.requests / answered) if answered else None,
        "duplicates": told.repeats,
    }


def _won(won: WinRate) -> dict[str, object]:
    return {
        "pairs": won.pairs,
        "raw_win_rate": won.raw,
        "inconsistency": won.inconsistency,
        "human_labels": won.labels,
        "win_rate": None if won.corrected is None else won.corrected.as_json(),
        "shares": {name: share.as_json() for name, share in judge_shares(won).items()},
    }
