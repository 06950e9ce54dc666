"""A ledger -> what was saved, with its interval, or why that cannot be said yet.

    found = saving(place, since=..., until=...)
    match found:
        case SavingEstimate(): ...    # .words(), .as_json()
        case NoEstimate(): ...        # .reason

Days are whole, in UTC, and those whose rows have been erased are left out. No interval is ever given without the
baseline that it is of, and no figure without its doubts. A shadow call that told no tokens is no part of an interval:
its cost is an estimate, and an error that all estimates of a model share would move the figure and not widen it. What
it cost was spent all the same.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from router.insight.counterfactual import Baseline, Books, Counterfactual, Traffic, counterfactual
from router.ledger.money import usd
from router.ledger.place import LedgerPlace
from router.ledger.savings import DAY, Found, Shadow, read_savings

FEWEST: Final = 150
"""Shadow calls, below which intervals cover too seldom: lengths have long tails."""
FEWEST_GROUPS: Final = 10
"""Groups of users with a shadow call, below which their spread is not known."""
FEWEST_DEGREES: Final = 6.0
"""Of freedom, below which the tail of lengths has hardly been seen."""
MOST_UNPRICED: Final = 0.01
"""Share of the requests that may lack a price; more of them, and the rest says nothing of all."""
MOST_FAILED: Final = 0.02
"""Share of the shadow calls that may fail, or tell nothing, without a doubt: they may be the long ones."""
MOST_UNREACHED: Final = 0.2
"""Share of Mini's answers that may be beyond any draw without a word."""

NO_CACHES: Final = "all-Large without caches"
SAME_CACHES: Final = "all-Large with the same caches"

_ANSWERED: Final = ("answered", "kept")
_UNFINISHED: Final = "Interrupted"
ESTIMATED: Final = "tokenizer"
"""Source of a usage that was worked out from bytes."""


@dataclass(frozen=True, slots=True)
class Untold:
    """Calls to Large that came to something, of which nobody told what they took.

    Attributes:
        estimated: their cost is an estimate from bytes.
        unpriced: their cost is not known at all.
    """

    estimated: int = 0
    unpriced: int = 0

    def __bool__(self) -> bool:
        return bool(self.estimated or self.unpriced)

    def __str__(self) -> str:
        named = ((self.estimated, "have an estimated cost"), (self.unpriced, "have none"))
        return " and ".join(f"{count:,} {what}" for count, what in named if count)

    def as_json(self) -> dict[str, object]:
        """Return its part of what `--json` prints."""
        return {"estimated_shadow_calls": self.estimated, "unpriced_shadow_calls": self.unpriced}


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """Nothing can be said.

    Attributes:
        reason: the fact and what to do, in a sentence without a full stop.
        shadows: calls that there are.
        missing: calls that are wanted beside them; 0 where those are not what is missing.
        untold: calls that are left out, since their backend told no tokens.
        a_day: calls that come a day, at the rate of these days.
    """

    reason: str
    shadows: int = 0
    missing: int = 0
    untold: Untold = Untold()
    a_day: float = 0.0

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "estimate": None,
            "reason": self.reason,
            "shadow_calls": self.shadows,
            "missing_shadow_calls": self.missing,
            **self.untold.as_json(),
            "shadow_calls_a_day": self.a_day,
        }


@dataclass(frozen=True, slots=True)
class SavingEstimate:
    """What was saved.

    Attributes:
        since, until: seconds since 1970; whole days.
        requests: all of them.
        unpriced: those of them that lack a price, and are left out.
        shadows, failed: calls to Large for answers of Mini, that came to something and that did not.
        found: both baselines, and the parts of the first.
        doubts: what the intervals do not tell, a sentence each.
        untold: further calls, which are left out.
    """

    since: float
    until: float
    requests: int
    unpriced: int
    shadows: int
    failed: int
    found: Counterfactual
    doubts: tuple[str, ...]
    untold: Untold = Untold()

    @property
    def baselines(self) -> dict[str, Baseline]:
        """Return them by name."""
        return {NO_CACHES: self.found.without_caches, SAME_CACHES: self.found.same_caches}

    def words(self) -> list[str]:
        """Return it in lines to be read."""
        found = self.found
        said = [f"spent {usd(found.spent)} USD on {self.requests:,} requests"]
        for name, baseline in self.baselines.items():
            saved, like = baseline.saved, baseline.expected
            said.append(
                f"saved {saved.value:.1%} of {name}, 95 % interval {saved.low:.1%} to {saved.high:.1%}"
                f" (of {usd(baseline.cost)} USD; traffic like this: {like.low:.1%} to {like.high:.1%})"
            )
        shares = {name: f"{share:+.1%}" for name, share in self.shares().items()}
        said.append(f"of {NO_CACHES}: " + ", ".join(f"{name} {share}" for name, share in shares.items()))
        said.append(
            f"from {self.shadows:,} shadow calls to Large"
            + (f"; {self.failed:,} failed" if self.failed else "")
            + (f"; of those that are left out {self.untold}" if self.untold else "")
        )
        return [*said, *self.doubts]

    def shares(self) -> dict[str, float]:
        """Return the parts as shares of the baseline without caches; together they are what was saved."""
        parts, whole = self.found.parts, self.found.without_caches.cost
        signed = {
            "cache": parts.cache,
            "prefix": parts.prefix,
            "routing": parts.routing,
            "overhead": -parts.overhead,
        }
        return {name: amount / whole for name, amount in signed.items()}

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints; money in nano-USD."""
        parts = self.found.parts
        return {
            "since": self.since,
            "until": self.until,
            "requests": self.requests,
            "unpriced": self.unpriced,
            "shadow_calls": self.shadows,
            "failed_shadow_calls": self.failed,
            **self.untold.as_json(),
            "spent": self.found.spent,
            "estimate": {
                name: {
                    "baseline": baseline.cost,
                    "saved": baseline.saved.as_json(),
                    "saved_of_traffic_like_this": baseline.expected.as_json(),
                }
                for name, baseline in self.baselines.items()
            },
            "parts": {
                "cache": parts.cache,
                "prefix": parts.prefix,
                "routing": parts.routing,
                "overhead": -parts.overhead,
                "saved": parts.saved,
            },
            "shares": self.shares(),
            "by_minis_lengths": self.found.naive,
            "doubts": list(self.doubts),
        }


def saving(
    ledger: LedgerPlace | Path,
    *,
    since: float = float("-inf"),
    until: float = float("inf"),
    within: float | None = None,
) -> SavingEstimate | NoEstimate:
    """Return what was saved on the days that a span touches; reads the ledger, which may take some 0.1 s.

    Args:
        since, until: seconds since 1970.
        within: seconds after which the reading is given up.

    Raises:
        LedgerUnreadable: it cannot be reached, is no ledger, or cannot be read in time.
    """
    found = read_savings(ledger, since=since, until=until, within=within)
    return NoEstimate("no request was priced in that time") if found is None else saving_of(found)


def saving_of(found: Found) -> SavingEstimate | NoEstimate:
    """Return what a reading says."""
    requests = sum(part.requests for part in found.parts)
    unpriced = sum(part.unpriced for part in found.parts)
    seen, untold = _seen(found)
    a_day = len(seen) / (found.after - found.first)
    if unpriced > MOST_UNPRICED * requests:
        return NoEstimate(
            f"{unpriced:,} of {requests:,} requests have no price or told no tokens; add their models to the prices",
            len(seen),
            untold=untold,
            a_day=a_day,
        )
    if len(seen) < FEWEST:
        return _too_few(len(seen), untold, a_day)
    groups = len({(each.tenant, each.part) for each in seen})
    if groups < FEWEST_GROUPS:
        return NoEstimate(
            f"the shadow calls are of {groups} users, and an interval needs {FEWEST_GROUPS} or more; have callers name"
            " their users",
            len(seen),
            untold=untold,
            a_day=a_day,
        )
    books = _books(found)
    traffic = _traffic(found, seen)
    estimated = counterfactual(traffic, books)
    failed = sum(each.tells_of_large and each.error not in ("", _UNFINISHED) for each in found.shadows)
    return SavingEstimate(
        since=float(found.first * DAY),
        until=float(found.after * DAY),
        requests=requests,
        unpriced=unpriced,
        shadows=len(seen),
        failed=failed,
        found=estimated,
        doubts=(
            *_doubts_of_calls(len(seen), failed, untold),
            *_doubts(traffic, books, unpriced=unpriced, degrees=estimated.same_caches.saved.degrees),
        ),
        untold=untold,
    )


def _too_few(shadows: int, untold: Untold, a_day: float) -> NoEstimate:
    missing = FEWEST - shadows
    if untold:
        how = f"of further ones {untold}; have Large's backend tell its usage"
        how += ", and its model priced" if untold.unpriced else ""
    elif not shadows:
        how = "set learning.shadow above 0, so that some of Mini's requests are sent to Large, too"
    else:
        days = missing / a_day
        how = f"{a_day:.1f} come a day, so that {days:.1f} more days are needed; a higher learning.shadow needs fewer"
    reason = f"{missing} shadow calls are missing: an interval needs {FEWEST}, and there are {shadows}; {how}"
    return NoEstimate(reason, shadows, missing, untold, a_day)


def _seen(found: Found) -> tuple[list[Shadow], Untold]:
    """Return the calls that say what Large would have taken, and how many came to something and do not say."""
    hours = {hour for hour, _ in found.hours}
    whole = [
        each
        for each in found.shadows
        if each.tells_of_large
        and each.outcome == "answered"
        and not each.error
        and each.sampled > 0
        and each.hour in hours
        and None not in (each.input, each.output, each.score)
    ]
    unpriced = sum(each.cost is None for each in whole)
    seen = [each for each in whole if each.cost is not None and each.usage_source != ESTIMATED]
    return seen, Untold(len(whole) - len(seen) - unpriced, unpriced)


def _books(found: Found) -> Books:
    parts = found.parts
    otherwise = [part for part in parts if part.outcome not in _ANSWERED]
    kept = Counter[str]()
    for part in parts:
        if part.source == "cache":
            kept[part.decided] += part.baseline
    return Books(
        cost=sum(part.cost for part in parts),
        learning=sum(part.learning for part in parts),
        overhead=sum(part.overhead for part in parts),
        prefix=sum(part.prefix_saved for part in parts),
        otherwise=sum(part.cost - part.overhead for part in otherwise),
        kept_large=kept["large"],
        kept_mini=kept["mini"],
        mini=sum(part.baseline for part in parts if part.source == "mini" and part.outcome == "answered"),
        kept_alike=found.kept_alike,
    )


def _traffic(found: Found, seen: Sequence[Shadow]) -> Traffic:
    rows = {(group.tenant, group.part): row for row, group in enumerate(found.groups)}
    spent = np.array([group.cost for group in found.groups], float)
    for each in found.shadows:  # judges too
        spent[rows[each.tenant, each.part]] += each.cost or 0
    hours = {hour: row for row, (hour, _) in enumerate(found.hours)}
    return Traffic(
        spent=spent,
        large=np.array([group.large for group in found.groups], float),
        rest=np.array([(group.rest, group.input, group.output, group.score) for group in found.groups], float),
        scored=float(sum(group.scored for group in found.groups)),
        groups=np.array([rows[each.tenant, each.part] for each in seen], np.int64),
        features=np.array([(1, each.input, each.output, each.score) for each in seen], float),
        took=np.array([each.cost for each in seen], float),
        meant=np.array([each.sampled for each in seen], float),
        hours=np.array([hours[each.hour] for each in seen], np.int64),
        answered=np.array([answers for _, answers in found.hours], float),
    )


def _doubts_of_calls(seen: int, failed: int, untold: Untold) -> list[str]:
    said: list[str] = []
    left_out = untold.estimated + untold.unpriced
    calls = seen + failed + left_out
    if failed > MOST_FAILED * calls:
        said.append(f"{failed:,} of {calls:,} shadow calls failed; where those were the long ones, more was saved")
    if left_out > MOST_FAILED * calls:
        said.append(
            f"what {left_out:,} of {calls:,} shadow calls took was not told, and they are left out; where those were"
            " the long ones, more was saved"
        )
    return said


def _doubts(traffic: Traffic, books: Books, *, unpriced: int, degrees: float) -> list[str]:
    said: list[str] = []
    beyond = 1.0 - traffic.scored / max(traffic.rest[:, 0].sum(), 1.0)
    if beyond > MOST_UNREACHED:
        said.append(
            f"{beyond:.0%} of Mini's answers could not be drawn, for lack of a score; they are taken to be like others"
            " with as many tokens"
        )
    if degrees < FEWEST_DEGREES:
        said.append(
            "a few long replies of Large make most of the doubt; longer ones may not have been drawn yet, and intervals"
            " of such lengths hold the truth in 92 of 100 cases, not in 95: more shadow calls tell"
        )
    if books.kept_mini:
        said.append("kept replies of Mini are taken to be worth to Large what its other replies are")
    if unpriced:
        said.append(f"{unpriced:,} requests without a price are left out")
    return said
