"""Tests router/insight/savings.py and router/insight/counterfactual.py on ledgers of which all is known."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.base import Outcome, Tier
from router.insight.counterfactual import Books, Traffic, counterfactual
from router.insight.savings import NO_CACHES, SAME_CACHES, NoEstimate, SavingEstimate, Untold, saving, saving_of
from router.ledger.place import LedgerUnreadable
from router.ledger.savings import Found, Part, read_savings
from tests.router.logged import BEGIN, DAY, Logged, price_of, write_ledger

SHARE = 0.25


def traffic(count: int, *, seed: int = 3) -> tuple[list[Logged], float]:
    """Return requests of many users, and what was saved of all-Large without caches."""
    rng, logged, spent, would = random.Random(seed), [], 0, 0
    for number in range(count):
        score, prompt, mini = rng.random(), int(rng.lognormvariate(6, 0.7)), int(rng.lognormvariate(5, 0.5))
        large = int(mini * rng.lognormvariate(-0.6, 0.5)) + 1
        tier = Tier.LARGE if score > 0.6 else Tier.MINI
        tokens = (prompt, large if tier is Tier.LARGE else mini)
        is_drawn = tier is Tier.MINI and rng.random() < SHARE
        user = f"{rng.randrange(400):04x}{'0' * 12}"
        shadow = (prompt, large) if is_drawn else None
        logged.append(
            Logged(number, number * 144.0, tier, tokens, score=score, user=user, shadow=shadow, sampled=SHARE)
        )
        took = price_of(Tier.LARGE, (prompt, large))
        spent += price_of(tier, tokens) + (took if is_drawn else 0)
        would += took
    return logged, 1 - spent / would


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Logged], float]:
    logged, truth = traffic(1_500)
    path = write_ledger(tmp_path_factory.mktemp("savings") / "ledger.db", logged)
    return path, logged, truth


@pytest.fixture(scope="module")
def found(known: tuple[Path, list[Logged], float]) -> Found:
    read = read_savings(known[0], since=float("-inf"), until=float("inf"))
    assert read is not None
    return read


def estimate_of(found: Found | None) -> SavingEstimate:
    assert found is not None
    estimate = saving_of(found)
    assert isinstance(estimate, SavingEstimate)
    return estimate


def written(path: Path, logged: Sequence[Logged]) -> SavingEstimate | NoEstimate:
    return saving(write_ledger(path, logged))


def test_the_interval_holds_what_was_saved(known: tuple[Path, list[Logged], float]) -> None:
    path, logged, truth = known
    estimate = saving(path)
    assert isinstance(estimate, SavingEstimate)
    saved = estimate.found.without_caches.saved
    assert saved.low < truth < saved.high
    assert saved.half_width < 0.02
    naive = estimate.found.naive
    assert naive is not None
    assert naive > saved.high + 0.05
    assert (estimate.requests, estimate.shadows) == (1_500, sum(one.shadow is not None for one in logged))


def test_the_parts_are_the_whole_to_the_nano_usd(found: Found) -> None:
    estimate = estimate_of(found)
    parts, whole = estimate.found.parts, estimate.found.without_caches
    assert parts.saved == whole.cost - estimate.found.spent
    assert sum(estimate.shares().values()) == pytest.approx(whole.saved.value, abs=1e-9)
    assert parts.overhead == sum(part.learning for part in found.parts) > 0
    assert estimate.found.spent == sum(part.cost + part.learning for part in found.parts)


def test_kept_replies_and_cached_prefixes_are_parts_of_the_first_baseline_alone(
    known: tuple[Path, list[Logged], float], tmp_path: Path
) -> None:
    _, logged, _ = known
    kept = [
        Logged(10_000 + number, number, tier, (1_000, 200), user=f"{number:03x}", kept=True)
        for number, tier in enumerate([*[Tier.LARGE] * 40, *[Tier.MINI] * 40])
    ]
    both, alone = written(tmp_path / "kept.db", [*logged, *kept]), written(tmp_path / "alone.db", logged)
    assert isinstance(both, SavingEstimate)
    assert isinstance(alone, SavingEstimate)
    large_kept = 40 * price_of(Tier.LARGE, (1_000, 200))
    assert large_kept * 1.4 < both.found.parts.cache < large_kept * 2
    assert both.found.same_caches.saved == alone.found.same_caches.saved
    assert both.found.without_caches.saved.value > alone.found.without_caches.saved.value
    assert any("kept replies of Mini" in doubt for doubt in both.doubts)


def test_a_few_popular_kept_replies_widen_the_interval_without_caches(
    known: tuple[Path, list[Logged], float], tmp_path: Path
) -> None:
    """Hundreds of hits tell little where they are of two replies, and much where they are of many."""
    _, logged, _ = known
    widths = {}
    for name, kinds in (("two", 2), ("many", 300)):
        kept = [
            Logged(10_000 + hit, hit, Tier.MINI, (1_000 + hit % kinds, 200), user=f"{hit % 400:03x}", kept=True)
            for hit in range(300)
        ]
        path = write_ledger(tmp_path / f"{name}.db", [*logged, *kept])
        read = read_savings(path, since=float("-inf"), until=float("inf"))
        assert read is not None
        assert read.kept_alike == pytest.approx(1 / kinds, rel=0.01)
        estimate = estimate_of(read)
        widths[name] = estimate.found.without_caches.saved.half_width
        if name == "many":
            calm = estimate_of(read._replace(kept_alike=0.0))
            assert widths[name] == pytest.approx(calm.found.without_caches.saved.half_width, rel=0.05)
    assert widths["two"] > 1.5 * widths["many"]


def test_below_150_shadow_calls_nothing_is_said_but_how_many_are_missing(
    known: tuple[Path, list[Logged], float], tmp_path: Path
) -> None:
    drawn = [one for one in known[1] if one.shadow is not None][:140]
    rest = [replace(one, shadow=None) for one in known[1]]
    chosen = {one.number for one in drawn}
    few = [one for one in rest if one.number not in chosen] + drawn
    estimate = written(tmp_path / "few.db", sorted(few, key=lambda one: one.number))
    assert isinstance(estimate, NoEstimate)
    assert (estimate.shadows, estimate.missing) == (140, 10)
    assert estimate.a_day == pytest.approx(140 / 3)
    assert "10 shadow calls are missing: an interval needs 150, and there are 140; 46.7 come a day" in estimate.reason
    assert estimate.as_json()["missing_shadow_calls"] == 10
    none = written(tmp_path / "none.db", rest)
    assert isinstance(none, NoEstimate)
    assert none.reason.endswith("set learning.shadow above 0, so that some of Mini's requests are sent to Large, too")


def test_a_few_long_replies_that_make_the_doubt_are_told(found: Found) -> None:
    assert not any("a few long replies" in doubt for doubt in estimate_of(found).doubts)
    first, *rest = found.shadows
    assert first.cost is not None
    long = found._replace(shadows=(first._replace(cost=300 * first.cost), *rest))
    assert any("a few long replies of Large" in doubt for doubt in estimate_of(long).doubts)


def test_calls_that_failed_are_told_and_weigh_nothing(found: Found) -> None:
    first = next(each for each in found.shadows if not each.error)
    failed = first._replace(error="TimedOut", cost=None)
    estimate = estimate_of(
        found._replace(shadows=(*found.shadows, *[failed] * 20, first._replace(error="Interrupted")))
    )
    assert (estimate.failed, estimate.shadows) == (20, len(found.shadows))
    assert any(doubt.startswith("20 of ") for doubt in estimate.doubts)
    assert estimate.found.same_caches.saved == estimate_of(found).found.same_caches.saved


def test_calls_that_told_no_tokens_are_counted_and_left_out_of_the_interval(found: Found) -> None:
    first = next(each for each in found.shadows if not each.error)
    estimated, unpriced = first._replace(usage_source="tokenizer"), first._replace(cost=None, usage_source="none")
    more = found._replace(shadows=(*found.shadows, *[estimated] * 20, *[unpriced] * 2))
    estimate, without = estimate_of(more), estimate_of(found)
    assert (estimate.shadows, estimate.untold) == (without.shadows, Untold(20, 2))
    assert estimate.found.same_caches.cost == without.found.same_caches.cost
    assert any(doubt.startswith("what 22 of ") for doubt in estimate.doubts)
    assert any(
        line.endswith("; of those that are left out 20 have an estimated cost and 2 have none")
        for line in estimate.words()
    )
    said = estimate.as_json()
    assert (said["estimated_shadow_calls"], said["unpriced_shadow_calls"]) == (20, 2)
    assert without.untold == Untold()
    assert not any("was not told" in doubt for doubt in without.doubts)


def test_where_no_call_told_its_tokens_it_is_said_that_there_are_such(found: Found) -> None:
    estimated = found._replace(shadows=tuple(each._replace(usage_source="tokenizer") for each in found.shadows))
    count = len(found.shadows)
    refused = saving_of(estimated)
    assert isinstance(refused, NoEstimate)
    assert (refused.shadows, refused.missing, refused.untold) == (0, 150, Untold(count))
    assert refused.reason.endswith(
        f"there are 0; of further ones {count} have an estimated cost; have Large's backend tell its usage"
    )
    assert refused.as_json()["estimated_shadow_calls"] == count
    unpriced = saving_of(found._replace(shadows=tuple(each._replace(cost=None) for each in found.shadows)))
    assert isinstance(unpriced, NoEstimate)
    assert unpriced.reason.endswith(f"{count} have none; have Large's backend tell its usage, and its model priced")


def test_calls_that_were_dropped_in_busy_hours_do_not_bias() -> None:
    """In busy hours answers are short and two of three calls are dropped: by the logged probability, the sum is off."""
    rng, slips, naive_slips = np.random.default_rng(2), [], []
    for _ in range(30):
        hours = rng.integers(0, 48, 6_000) // rng.integers(1, 3, 6_000)  # the first half has three times as many
        is_busy = hours < 24
        took = np.where(is_busy, 1.0, 3.0) * rng.lognormal(0.0, 0.3, 6_000)
        seen = np.flatnonzero(rng.random(6_000) < np.where(is_busy, 0.05 / 3, 0.05))
        groups = rng.integers(0, 200, 6_000)
        found = counterfactual(
            Traffic(
                spent=np.ones(200),
                large=np.zeros(200),
                rest=np.stack([np.bincount(groups, minlength=200)] * 4, axis=1).astype(float),
                scored=6_000.0,
                groups=groups[seen],
                features=np.ones((len(seen), 4)),
                took=took[seen],
                meant=np.full(len(seen), 0.05),
                hours=hours[seen],
                answered=np.bincount(hours, minlength=48).astype(float),
            ),
            Books(cost=200),
        )
        slips.append(found.same_caches.cost / took.sum() - 1.0)
        naive_slips.append(took[seen].mean() / took.mean() - 1.0)
    assert abs(np.mean(slips)) < 0.05
    assert np.mean(naive_slips) > 0.3


def test_answers_that_nobody_could_draw_are_taken_to_be_like_others_and_it_is_said(
    known: tuple[Path, list[Logged], float], tmp_path: Path
) -> None:
    asked = [
        replace(one, number=one.number + 10_000, score=None, reason="asked", shadow=None)
        for one in known[1]
        if one.tier is Tier.MINI
    ]
    estimate = written(tmp_path / "asked.db", [*known[1], *asked])
    assert isinstance(estimate, SavingEstimate)
    assert any(doubt.startswith("50% of Mini's answers could not be drawn") for doubt in estimate.doubts)
    before = saving(known[0])
    assert isinstance(before, SavingEstimate)
    assert estimate.found.same_caches.saved.value > before.found.same_caches.saved.value  # no shadow cost beside them


def test_requests_without_a_price_are_told_and_many_of_them_refused(
    known: tuple[Path, list[Logged], float], tmp_path: Path
) -> None:
    few = [replace(one, priced=False, shadow=None) if one.number < 10 else one for one in known[1]]
    estimate = written(tmp_path / "few.db", few)
    assert isinstance(estimate, SavingEstimate)
    assert estimate.unpriced == 10
    assert "10 requests without a price are left out" in estimate.doubts
    many = [replace(one, priced=False, shadow=None) if one.number < 60 else one for one in known[1]]
    refused = written(tmp_path / "many.db", many)
    assert isinstance(refused, NoEstimate)
    assert refused.reason.startswith("60 of 1,500 requests have no price or told no tokens")


def test_requests_that_broke_count_on_both_sides(known: tuple[Path, list[Logged], float], tmp_path: Path) -> None:
    broken = [
        Logged(20_000 + number, number, Tier.MINI, (5_000, 500), user="ff0", outcome=Outcome.BROKEN)
        for number in range(30)
    ]
    before, after = saving(known[0]), written(tmp_path / "broken.db", [*known[1], *broken])
    assert isinstance(before, SavingEstimate)
    assert isinstance(after, SavingEstimate)
    cost = 30 * price_of(Tier.MINI, (5_000, 500))
    assert after.found.spent - before.found.spent == cost
    assert after.found.same_caches.cost - before.found.same_caches.cost == cost


def test_retries_of_a_request_that_broke_are_not_what_large_would_have_cost(found: Found) -> None:
    broken = Part("mini", "mini", "broken", 1, 10_000_000, 0, 0, 0, 4_000_000, 0)
    before, after = estimate_of(found), estimate_of(found._replace(parts=(*found.parts, broken)))
    assert after.found.spent - before.found.spent == 10_000_000
    assert after.found.same_caches.cost - before.found.same_caches.cost == 6_000_000
    assert after.found.parts.overhead - before.found.parts.overhead == 4_000_000


def test_kept_replies_are_worth_what_answers_are_and_not_what_broken_ones_would_have_been(found: Found) -> None:
    kept = Part("cache", "mini", "kept", 1, 0, 50_000_000, 0, 0, 0, 0)
    broken = Part("mini", "mini", "broken", 1, 0, 900_000_000_000, 0, 0, 0, 0)
    whole, less = (estimate_of(found._replace(parts=(*found.parts, kept, *more))) for more in ((), (broken,)))
    assert whole.found.parts.cache == less.found.parts.cache > 0


def test_a_call_that_judged_is_spent_and_says_nothing_of_large(found: Found) -> None:
    one = next(each for each in found.shadows if each.tells_of_large)
    judge = one._replace(kind="judge", cost=10**9)
    assert not judge.tells_of_large
    before, after = estimate_of(found), estimate_of(found._replace(shadows=(*found.shadows, judge)))
    assert after.shadows == before.shadows
    assert after.found.same_caches.saved == before.found.same_caches.saved
    like, dearer = (each.found.same_caches.expected for each in (before, after))
    assert like.value - dearer.value == pytest.approx(10**9 / before.found.same_caches.cost)


def test_a_call_that_could_not_have_been_drawn_stands_for_nobody(found: Found) -> None:
    one = next(each for each in found.shadows if each.tells_of_large)
    after = estimate_of(found._replace(shadows=(*found.shadows, one._replace(sampled=0.0, cost=0))))
    assert (after.shadows, after.found) == (estimate_of(found).shadows, estimate_of(found).found)


def test_what_one_user_asked_gives_no_interval(known: tuple[Path, list[Logged], float], tmp_path: Path) -> None:
    refused = written(tmp_path / "one.db", [replace(one, user="abc") for one in known[1]])
    assert isinstance(refused, NoEstimate)
    assert "of 1 users, and an interval needs 10 or more" in refused.reason


def test_days_are_whole_and_those_outside_are_left_out(known: tuple[Path, list[Logged], float]) -> None:
    second = read_savings(known[0], since=BEGIN + DAY, until=BEGIN + DAY + 1)
    assert second is not None
    assert (second.first, second.after) == (BEGIN // DAY + 1, BEGIN // DAY + 2)
    assert sum(part.requests for part in second.parts) == 600
    assert read_savings(known[0], since=BEGIN + 9 * DAY, until=float("inf")) is None
    assert isinstance(saving(known[0], since=BEGIN + 9 * DAY), NoEstimate)


def test_a_saving_is_told_with_both_baselines_and_both_intervals(found: Found) -> None:
    estimate = estimate_of(found)
    words, said = "\n".join(estimate.words()), estimate.as_json()
    assert f"of {NO_CACHES}, 95 % interval" in words
    assert f"of {SAME_CACHES}, 95 % interval" in words
    assert "traffic like this" in words
    estimates = said["estimate"]
    assert isinstance(estimates, dict)
    assert set(estimates) == {NO_CACHES, SAME_CACHES}
    assert {"value", "low", "high", "standard_error"} == set(estimates[NO_CACHES]["saved"])


def test_no_ledger_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        saving(tmp_path / "none.db")
