"""Tests router/certifying/judging.py."""

import random
from collections.abc import Sequence

import pytest

from router.certificate import Guards, Verdict
from router.certifying.base import Mark, Plan
from router.certifying.judging import ALPHA, FEWEST, Judged, Marked, Ruling, is_blind, is_hopeless, judge, rule

Pair = tuple[float, float]


def plan_of(name: str = "a", **more: object) -> Plan:
    """Return a slice whose cases nobody asks for."""
    return Plan(name, Guards(), lambda _seed, _count: iter(()), **more)  # type: ignore[arg-type]  # of any field


def marked(pairs: Sequence[Pair], *, gold: str = "", labels: Sequence[tuple[str, str]] = ()) -> list[Marked]:
    """Return cases with these scores of incumbent and candidate."""
    said = labels or [("", "")] * len(pairs)
    return [
        Marked("a", f"{n}", gold, Mark(one, first), Mark(two, second))
        for n, ((one, two), (first, second)) in enumerate(zip(pairs, said, strict=True))
    ]


def ruled(*judged: Judged) -> list[Ruling]:
    return rule(judged)


def one(pairs: Sequence[Pair], *, margin: float = 0.05, plan: Plan | None = None) -> Ruling:
    """Return the verdict on one slice alone."""
    (found,) = ruled(judge(plan or plan_of(), marked(pairs), margin=margin))
    return found


def test_a_candidate_as_good_passes_where_there_are_enough_cases() -> None:
    found = one([(1.0, 1.0)] * 150)
    assert (found.verdict, found.needed) == (Verdict.PASSED, None)
    assert found.adjusted <= ALPHA
    assert found.why.startswith("not lower by 0.05, p = ")
    (measured,) = found.judged.measured
    assert measured.bound is not None
    assert measured.bound > -0.05


def test_too_few_cases_decide_nothing_and_it_is_said_how_many_more_would() -> None:
    found = one([(1.0, 1.0)] * 50)
    assert found.verdict is Verdict.UNDECIDED
    assert found.needed is not None
    assert found.why == f"{found.needed} more cases needed, if they go as these 50"
    assert one([(1.0, 1.0)] * (50 + found.needed)).verdict is Verdict.PASSED
    assert one([(1.0, 1.0)] * (49 + found.needed)).verdict is Verdict.UNDECIDED
    assert one([(1.0, 1.0)] * (FEWEST - 1), margin=0.5).verdict is Verdict.UNDECIDED
    assert one([(1.0, 1.0)] * FEWEST, margin=0.5).verdict is Verdict.PASSED


def test_a_candidate_that_is_worse_by_the_margin_fails_and_one_a_little_worse_needs_many_cases() -> None:
    found = one([(1.0, 0.0)] * 20 + [(1.0, 1.0)] * 180)
    assert (found.verdict, found.needed) == (Verdict.FAILED, None)
    assert found.why == "right is lower by 0.100, and 0.05 is allowed"
    near = one([(1.0, 0.0)] * 9 + [(1.0, 1.0)] * 191)
    assert near.verdict is Verdict.UNDECIDED
    assert (near.needed or 0) > 2_000
    hopeless = one([(1.0, 0.0)] * 499 + [(1.0, 1.0)] * 9_501)
    assert (hopeless.verdict, hopeless.needed) == (Verdict.UNDECIDED, None)
    assert hopeless.why.startswith("even 64 times as many such cases")


def test_two_models_that_cannot_do_it_are_not_equally_good() -> None:
    found = one([(0.0, 0.0)] * 300)
    assert found.verdict is Verdict.BLIND
    assert found.why == "the incumbent scores 0.000 and guessing 0.100: no loss could be seen"
    half = [(1.0, 1.0)] * 150 + [(0.0, 0.0)] * 150
    assert one(half).verdict is Verdict.PASSED
    assert one(half, plan=plan_of(floor=0.5)).verdict is Verdict.BLIND
    assert is_blind(plan_of(), [])


def test_scores_between_are_judged_too() -> None:
    rng = random.Random(0)
    scores = [rng.choice((0.5, 0.75, 1.0)) for _ in range(300)]
    assert one([(each, each) for each in scores]).verdict is Verdict.PASSED
    assert one([(each, each - 0.25) for each in scores]).verdict is Verdict.FAILED


def test_each_figure_of_a_slice_has_to_keep_the_margin() -> None:
    gold = ["1"] * 30 + ["0"] * 370
    chosen = ["0"] * 9 + gold[9:]  # accuracy falls by 0.02, F1 by 0.18
    cases = [
        Marked("a", f"{n}", right, Mark(1.0, right), Mark(float(right == said), said))
        for n, (right, said) in enumerate(zip(gold, chosen, strict=True))
    ]
    plan = plan_of(measures=("f1", "accuracy"), guess=lambda _: 0.5)
    (found,) = ruled(judge(plan, cases, margin=0.05))
    assert found.verdict is Verdict.FAILED
    assert found.why.startswith("f1 is lower by 0.17")
    assert [round(each.candidate, 3) for each in found.judged.measured] == [0.824, 0.978]
    (kept,) = ruled(judge(plan_of(measures=("accuracy",), guess=lambda _: 0.5), cases, margin=0.05))
    assert kept.verdict is Verdict.PASSED
    (exact,) = ruled(
        judge(plan, [Marked("a", each.case, each.gold, each.incumbent, each.incumbent) for each in cases], margin=0.25)
    )
    assert exact.verdict is Verdict.PASSED


def test_a_slice_that_nothing_can_be_said_of_is_not_passed() -> None:
    """The jackknife of numbers that are all the same has no spread; that is no proof."""
    cases = marked([(0.9, 0.9)] * 60, gold="2.0", labels=[("2.0", "2.0")] * 60)
    (found,) = ruled(judge(plan_of(measures=("pearson", "nearness")), cases, margin=0.5))
    assert (found.verdict, found.needed) == (Verdict.UNDECIDED, None)
    assert found.judged.measured[0].bound is None


def test_slices_are_ruled_side_by_side_and_what_could_not_be_asked_is_none_of_them() -> None:
    close = [(1.0, 1.0)] * 80
    assert one(close).verdict is Verdict.PASSED
    failing = judge(plan_of("b"), marked([(1.0, 0.0)] * 80), margin=0.05)
    beside = ruled(judge(plan_of(), marked(close), margin=0.05), failing)
    assert [each.verdict for each in beside] == [Verdict.UNDECIDED, Verdict.FAILED]
    assert beside[0].adjusted == pytest.approx(2 * beside[0].judged.p_value)
    blind = judge(plan_of("b"), marked([(0.0, 0.0)] * 200), margin=0.05)
    assert ruled(judge(plan_of(), marked(close), margin=0.05), blind)[0].adjusted == beside[0].adjusted
    cannot = judge(plan_of("c"), [], margin=0.05, cannot="mini lacks tools")
    alone = ruled(judge(plan_of(), marked(close), margin=0.05), cannot)
    assert [each.verdict for each in alone] == [Verdict.PASSED, Verdict.CANNOT]
    assert alone[1].why == "mini lacks tools"


def test_one_of_many_equal_candidates_passes_wrongly_no_more_often_than_said() -> None:
    """Each slice loses exactly its margin, so whatever passes is wrong."""
    rng, wrong, runs = random.Random(5), 0, 120
    for _ in range(runs):
        slices = []
        for name in "abcd":
            pairs = [(1.0, 0.0 if rng.random() < 0.05 else 1.0) for _ in range(150)]
            slices.append(judge(plan_of(name), marked(pairs), margin=0.05))
        wrong += any(each.verdict is Verdict.PASSED for each in rule(slices))
    assert wrong <= 0.06 * runs


def test_requests_that_are_mostly_refused_cannot_be_served() -> None:
    refused = [Marked("a", f"{n}", "", Mark(1.0), Mark(0.0), refusal="mini refuses it: 400") for n in range(40)]
    (found,) = ruled(judge(plan_of(), refused, margin=0.05))
    assert (found.verdict, found.why) == (Verdict.CANNOT, "mini refuses it: 400")
    assert is_hopeless(plan_of(), refused, margin=0.05)


@pytest.mark.parametrize(
    ("pairs", "is_given_up"),
    [
        ([(1.0, 1.0)] * 40, False),
        ([(0.0, 0.0)] * 40, True),
        ([(1.0, 0.0)] * 40, True),
        ([(1.0, 0.0)] * 4 + [(1.0, 1.0)] * 36, False),
        ([(0.5, 0.0)] * 40, True),
        ([(0.0, 1.0)] * 40, True),
    ],
)
def test_only_what_cannot_come_to_pass_is_given_up(pairs: list[Pair], is_given_up: bool) -> None:  # noqa: FBT001 - the wish
    assert is_hopeless(plan_of(), marked(pairs), margin=0.05) == is_given_up


def test_what_was_given_up_never_passes() -> None:
    given_up = judge(plan_of(), marked([(1.0, 1.0)] * 200), margin=0.05, is_given_up=True)
    (found,) = ruled(given_up)
    assert found.verdict is Verdict.FAILED
    assert found.adjusted == 1.0
