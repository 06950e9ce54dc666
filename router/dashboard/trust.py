"""Overview in numbers -> the two cards that say how far answers and figures can be trusted, in words.

What cannot be supported is a dash, and the words beside it say why. No share stands without how many it is of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.dashboard import wording
from router.dashboard.base import Alarm, BackendHealth
from router.insight.overview import MOST_ESTIMATED, MOST_UNPRICED, Doubts
from router.insight.quality import Quality, Share
from router.ledger.hosting import Standing, together


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of a card.

    Attributes:
        value: a figure, or a dash.
        interval: of 95 %; "" where there is none.
        note: what it is of, or why there is none.
        mood: "warn" where it is doubtful or bad, else "".
    """

    title: str
    value: str
    interval: str
    note: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One alarm in words; `since` is for a reader and `stamp` for a machine."""

    title: str
    said: str
    since: str
    stamp: str
    runbook: str


def quality_measures(seen: Quality) -> tuple[Measure, ...]:
    """Return what replies looked like; what is told of the latest alone says so."""
    among = "" if seen.latest >= seen.replies else f" among the latest {wording.count(seen.latest)}"
    return (
        _measure("Repetitive", seen.repetitive, "answers with text", "no answer with text was looked at"),
        _measure("Empty", seen.empty, "answers", "no answer was looked at"),
        _measure("Cut short", seen.truncated, "answers", "no answer was looked at"),
        _measure("Refused", seen.refused, "answers", "no answer was looked at"),
        _measure("Failed a check", seen.failed_checks, f"answers that can be checked{among}", "none could be checked"),
        _measure(
            "Mini agrees with Large, raw",
            seen.agreement,
            f"sampled requests{among}",
            "no answer was compared with Large’s",
        ),
        _rating(seen),
    )


def quality_words(seen: Quality) -> str:
    """Return of which answers the measures are."""
    if not seen.replies:
        return "no answer of this span was looked at"
    return f"the {wording.count(seen.replies)} answers looked at, 95% intervals"


def money_measures(doubts: Doubts, standings: Sequence[Standing]) -> tuple[Measure, ...]:
    """Return how far figures of money are known, and what GPUs of our own cost beside what tokens cost."""
    return (
        Measure(
            title="Without a price",
            value=wording.share(doubts.unpriced_share),
            interval="",
            note=f"{wording.count(doubts.unpriced)} of the requests that ended, in no figure of money;"
            f" at most {wording.share(MOST_UNPRICED)} should be"
            if doubts.unpriced_share is not None
            else "no request ended in this span",
            mood="warn" if doubts.too_many_unpriced else "",
        ),
        Measure(
            title="Usage estimated",
            value=wording.share(doubts.estimated_share),
            interval="",
            note=f"{wording.count(doubts.estimated)} calls of which no backend told the tokens;"
            f" at most {wording.share(MOST_ESTIMATED)} should be"
            if doubts.estimated_share is not None
            else "no model was asked in this span",
            mood="warn" if doubts.too_many_estimated else "",
        ),
        Measure(
            title="Usage contradictory",
            value=wording.count(doubts.contradictory),
            interval="",
            note="calls whose tokens cannot be as they were told, so that they have no price",
            mood="warn" if doubts.contradictory else "",
        ),
        *_standing_measures(standings),
    )


def alarm_lines(alarms: Sequence[Alarm]) -> tuple[AlarmLine, ...]:
    """Return what fires, in words."""
    return tuple(
        AlarmLine(
            title=" ".join([alarm.kind.replace("_", " "), *(f"{name} {value}" for name, value in alarm.labels)]),
            said=alarm.said,
            since=wording.moment(alarm.since),
            stamp=wording.stamp(alarm.since),
            runbook=alarm.runbook,
        )
        for alarm in alarms
    )


def allocated(costs: Mapping[str, int], backends: Sequence[BackendHealth]) -> dict[str, int]:
    """Return nano-USD by the name that the price book has for each model, also of those that nobody asked."""
    names = {each.model: each.model if each.price is None else each.price.model for each in backends}
    found = dict.fromkeys(names.values(), 0)
    for model, cost in costs.items():
        name = names.get(model, model)
        found[name] = found.get(name, 0) + cost
    return found


def _measure(title: str, share: Share | None, what: str, nothing: str) -> Measure:
    if share is None:
        return Measure(title, wording.DASH, "", nothing)
    return Measure(title, wording.share(share.value), _interval(share), f"of {wording.count(share.of)} {what}")


def _interval(share: Share) -> str:
    if share.interval is None:
        return "too few for an interval"
    low, high = share.interval
    return f"{wording.share(low)} to {wording.share(high)}"


def _rating(seen: Quality) -> Measure:
    if seen.rating is None:
        return Measure("Rated by people", wording.DASH, "", "nobody rated an answer")
    covered = f", {wording.share(seen.rated)} of all answers" if seen.rated is not None else ", the latest"
    return Measure(
        "Rated by people",
        wording.share(seen.rating.value),
        _interval(seen.rating),
        f"mean of {wording.count(seen.rating.of)} ratings{covered}: who rates is not chance",
    )


def _standing_measures(standings: Sequence[Standing]) -> tuple[Measure, ...]:
    if not standings:
        return ()
    whole = together(standings)
    share = f", {wording.share(whole.idle_share)} of what the hours cost" if whole.loaded else ""
    names = ", ".join(each.model for each in standings)
    return (
        Measure("Own GPUs, allocated", wording.money(whole.allocated), "", f"what the tokens of {names} cost"),
        Measure("Own GPUs, fully loaded", wording.money(whole.loaded), "", "what their hours cost, asked or idle"),
        Measure("Own GPUs, idle", wording.money(whole.idle), "", f"loaded less allocated{share}"),
    )
