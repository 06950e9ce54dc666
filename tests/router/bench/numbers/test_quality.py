"""Tests router/bench/numbers/quality.py and the texts it is measured on.

router/bench/numbers/quality_set.py, router/bench/numbers/quality_texts.py, router/bench/numbers/quality_loops.py
"""

from router.bench.numbers.quality import goals
from router.bench.numbers.quality_set import repetition_cases
from router.bench.numbers.quality_texts import seeds_of


def test_the_goals_are_met() -> None:
    found = goals(seed=5, quick=True)
    assert [goal.name for goal in found if not goal.met] == []
    assert {"repetition, precision", "repetition, recall", "refusal, precision"} <= {goal.name for goal in found}


def test_what_is_judged_shares_no_sentence_with_what_is_tuned_on() -> None:
    tuning, judging = seeds_of("tuning"), seeds_of("judging")
    for language in ("en", "zh"):
        for kind in ("sentences", "loops", "patterns", "survey", "legal", "refrain", "chorus", "steps", "variable"):
            assert not set(tuning[language][kind]) & set(judging[language][kind])


def test_a_seed_gives_the_same_texts_of_both_languages_and_kinds() -> None:
    one, again = (list(repetition_cases("tuning", seed=2, each=1)) for _ in range(2))
    assert one == again
    assert one != list(repetition_cases("tuning", seed=3, each=1))
    assert {case.kind.rpartition(", ")[2] for case in one} == {"en", "zh"}
    assert 0.35 < sum(case.is_so for case in one) / len(one) < 0.65
