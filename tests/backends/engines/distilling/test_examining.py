"""Tests backends/engines/distilling/examining.py: what an examination says; asking itself in test_tuning.py."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")

from backends.engines.desk.accuracy import Accuracy
from backends.engines.distilling.base import Case, Compared, Message, Part, Verdict
from backends.engines.distilling.examining import compare, judge


def case(part: Part, is_right: Callable[[str], bool | None]) -> Case:
    return Case(part, (Message("user", "?"),), "yes", is_right)


def known(reply: str) -> bool | None:
    return {"yes": True, "no": False}.get(reply)


def made(asked: int, *, lost: int = 0, won: int = 0, right: int | None = None) -> Compared:
    """Return how it went where the student was right `right` times before, then lost some and won others."""
    first = asked // 2 if right is None else right
    befores = ["yes"] * first + ["no"] * (asked - first)
    afters = ["no"] * lost + ["yes"] * (first - lost) + ["yes"] * won + ["no"] * (asked - first - won)
    cases = [case(Part.SIMPLE, known)] * asked
    return compare(cases, befores, afters, teacher={})[Part.SIMPLE]


def test_the_same_questions_are_compared_part_by_part() -> None:
    cases = [case(Part.COMPLEX, known), case(Part.COMPLEX, known), case(Part.SIMPLE, known)]
    found = compare(cases, ["no", "yes", "yes"], ["yes", "yes", "yes"], teacher={Part.COMPLEX: Accuracy(2, 2)})
    assert list(found) == [Part.SIMPLE, Part.COMPLEX]
    learnt = found[Part.COMPLEX]
    assert (learnt.before, learnt.after, learnt.teacher) == (Accuracy(1, 2), Accuracy(2, 2), Accuracy(2, 2))
    assert learnt.gain == 0.5
    assert learnt.low < 0.5 < learnt.high
    assert found[Part.SIMPLE].teacher is None


def test_what_cannot_be_told_of_either_reply_does_not_count() -> None:
    found = compare([case(Part.SIMPLE, known)] * 3, ["yes", "?", "no"], ["?", "yes", "no"], teacher={})
    assert found[Part.SIMPLE].before == Accuracy(0, 1)


KEPT, GAINED = made(1_000, right=1_000), made(400, won=150, lost=10)


@pytest.mark.parametrize(
    ("simple", "learnt", "verdict", "words"),
    [
        (KEPT, GAINED, Verdict.DEPLOY, "complex questions gained 35.0 points, simple ones lost at most 0.2"),
        (made(1_000, right=1_000, lost=5), GAINED, Verdict.DEPLOY, "lost at most 1.0"),
        (made(1_000, right=1_000, lost=20), GAINED, Verdict.HARMFUL, "simple questions lost 2.0 points, more than 1.0"),
        (made(1_000, right=1_000, lost=8), GAINED, Verdict.UNPROVEN, "simple questions may have lost 1."),
        (made(100, right=100), GAINED, Verdict.UNPROVEN, "100 were too few to tell"),
        (KEPT, made(400, won=6, lost=5), Verdict.UNPROVEN, "complex questions may not have gained"),
        (KEPT, made(400, won=5, lost=60), Verdict.HARMFUL, "complex questions lost 13.8 points"),
        (None, GAINED, Verdict.UNPROVEN, "no simple question was asked"),
        (KEPT, None, Verdict.UNPROVEN, "no complex question was asked"),
    ],
)
def test_an_adapter_is_deployed_only_where_gain_and_harmlessness_are_sure(
    simple: Compared | None, learnt: Compared | None, verdict: Verdict, words: str
) -> None:
    parts = {Part.SIMPLE: simple, Part.COMPLEX: learnt}
    said, why = judge({part: compared for part, compared in parts.items() if compared is not None}, margin=0.01)
    assert said is verdict
    assert words in why


def test_a_wider_margin_allows_more_to_be_lost() -> None:
    lossy = made(1_000, right=1_000, lost=20)
    assert judge({Part.SIMPLE: lossy, Part.COMPLEX: GAINED}, margin=0.05)[0] is Verdict.DEPLOY
