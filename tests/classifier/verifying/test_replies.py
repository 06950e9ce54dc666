"""Tests `classifier/verifying/replies.py`: each sign is found where it is, and nowhere else."""

import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.base import Kind, Sample
from classifier.verifying.replies import SIGNS, Pattern, signs_of

STEPS = "She has 16 eggs and eats 3 of them in the morning. 16 - 3 = 13, so 13 are left for the market.\n#### 13"


def found(*replies: str | Sample, score: float = 0.5, wanted: Kind | None = None) -> dict[str, float]:
    """Return the signs by name; a text is a reply that has ended."""
    samples = [reply if isinstance(reply, Sample) else Sample(reply, None, "stop") for reply in replies]
    return dict(zip(SIGNS, signs_of(score, samples, wanted=wanted).values, strict=True))


def pattern(*replies: str) -> Pattern:
    """Return who agrees with the first."""
    return signs_of(0.5, [Sample(reply, None, "stop") for reply in replies]).pattern


def test_replies_are_grouped_by_their_answers() -> None:
    assert pattern("5") == Pattern(0, 0, 0)
    assert pattern("5", "$5.00") == Pattern(1, 0, 0)
    assert pattern("5", "6") == Pattern(1, 1, 1)
    assert pattern("5", "5", "6") == Pattern(2, 1, 1)
    assert pattern("5", "6", "6 eggs") == Pattern(2, 2, 1)
    assert pattern("5", "6", "7") == Pattern(2, 2, 2)


def test_a_reply_without_answer_is_not_compared_unless_it_is_the_first() -> None:
    silent = "Many words that lead to nothing at all stand in this reply, and it goes on with more of them for long."
    assert pattern("5", silent) == Pattern(0, 0, 0)
    assert pattern("5", silent, "6") == Pattern(1, 1, 1)
    assert pattern(silent, "5", "5") == Pattern(2, 2, 1)
    assert found("5", silent)["others without answer"] == 1.0
    assert found("5", silent)["nothing to compare"] == 1.0
    assert found(silent, "5")["no answer"] == 1.0
    assert found("5", "6")["no answer"] == 0.0


def test_scatter_counts_less_than_one_more_that_dissents() -> None:
    together, apart = found("5", "6", "6", "6"), found("5", "6", "7", "8")
    assert together["dissent"] == apart["dissent"] == 1.0
    assert together["scatter"] == 0.0
    assert 0.0 < apart["scatter"] < found("5", "5", "5", "6")["dissent"]


def test_the_form_that_the_prompt_asks_for_decides_what_is_compared() -> None:
    one, other = "It is 5 m/s, so (B)", "(B), as 20 / 4 = 5.0 and not 6"
    assert found(one, other, wanted=Kind.CHOICE)["dissent"] == 0.0
    assert found(one, other)["dissent"] == 1.0


@pytest.mark.parametrize(
    ("sign", "flawed", "sound"),
    [
        ("false arithmetic", STEPS.replace("16 - 3 = 13", "16 - 3 = 12"), STEPS),
        ("cut short", Sample(STEPS, None, "length"), STEPS),
        (
            "cut short",
            "She has 16 eggs and eats 3 of them, and then she goes to the market, where the price of an",
            STEPS,
        ),
        ("empty", " \n", STEPS),
        ("refusal", "I'm sorry, but I cannot help with that.", STEPS),
        ("refusal", "抱歉，我无法回答这个问题。", "答案是三。"),
        ("hedging", f"I think this might be wrong, perhaps. {STEPS}", STEPS),
        ("hedging", "我不确定，可能是三。", "答案是三。"),
        ("repetition", "the eggs " * 50, STEPS),
        ("repetition", "She has sixteen eggs. " * 8, STEPS),
        ("repetition", "哈哈" * 100, "答案是三。"),
        ("length", STEPS * 10, STEPS),
        ("numbers in the reply", f"1 2 3 4 5 6 7 8 {STEPS}", STEPS),
        ("odd number", "#### 3.33333", STEPS),
        ("odd number", "#### -3", STEPS),
        ("answer not marked", "She has 13", STEPS),
    ],
)
def test_a_sign_is_stronger_in_the_reply_that_bears_it(sign: str, flawed: str | Sample, sound: str) -> None:
    assert found(flawed, "13")[sign] > found(sound, "13")[sign]


def test_other_words_and_numbers_are_told_from_the_same_ones() -> None:
    other = "Counting 16 in all, minus 2 for baking and 1 more, there remain 13.\n#### 13"
    for sign in ("other words", "other numbers"):
        assert found(STEPS, STEPS)[sign] == 0.0
        assert 0.0 < found(STEPS, other)[sign] <= 1.0
    assert found("5", "6 and not 5, so 7")["answer nowhere in the others"] == 0.0
    assert found("5", "6, so 7")["answer nowhere in the others"] == 1.0
    assert found("答案是三个苹果", "答案是三个苹果")["other words"] == 0.0
    assert found("答案是三个苹果", "一共有四只橘子")["other words"] == 1.0


def test_dissent_of_a_reply_that_reckons_falsely_is_told() -> None:
    wrong = "16 - 3 = 12\n#### 12"
    assert found(STEPS, wrong)["dissent of a flawed reply"] == 1.0
    assert found(STEPS, "#### 12")["dissent of a flawed reply"] == 0.0
    assert found(wrong, wrong)["dissent of a flawed reply"] == 0.0


def test_quantiles_of_log_probabilities_do_not_grow_with_the_length() -> None:
    def signs(logprobs: Sequence[float]) -> list[float]:
        return list(found(Sample("5", tuple(logprobs), "stop")).values())[-6:-1]

    sure, unsure = [-0.01] * 80 + [-2.0] * 20, [-0.01] * 50 + [-2.0] * 50
    assert signs(sure) == pytest.approx(signs(sure * 20), abs=1e-9)
    assert signs(sure) < signs(unsure)
    assert signs([]) == signs([math.nan]) == [0.0] * 5
    assert all(map(math.isfinite, signs([-math.inf, math.inf, -1.0])))
    assert all(map(math.isfinite, signs([-math.inf])))


def test_a_reply_on_its_way_is_not_blamed_for_having_no_end() -> None:
    begun = Sample("She has sixteen eggs and eats some of them, and then she goes to the market, where the price of an")
    signs = found(begun)
    assert not any(signs[sign] for sign in ("no answer", "cut short", "empty", "length", "answer not marked"))
    assert not found(Sample(""))["empty"]
    assert found(Sample("", None, "stop"))["empty"]


def test_scores_that_are_no_probabilities_move_nothing_far() -> None:
    assert found("5", score=math.nan)["prompt's score"] == 0.0
    assert found("5", score=7.0)["prompt's score"] == -found("5", score=-7.0)["prompt's score"] == 4.0


def test_no_replies_count_as_an_empty_one() -> None:
    assert signs_of(0.5, []) == signs_of(0.5, [Sample("", None, "stop")])


@given(st.lists(st.text(max_size=200), max_size=4), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_any_texts_have_finite_signs(texts: list[str], score: float) -> None:
    values = signs_of(score, [Sample(text) for text in texts]).values
    assert len(values) == len(SIGNS)
    assert all(map(math.isfinite, values))


@pytest.mark.parametrize("piece", ["a", "1 ", "= ", "一", "i think ", "\ud800", "\x00", "sorry, i "])
def test_a_megabyte_of_anything_is_read_in_a_moment(piece: str) -> None:
    reply = Sample(piece * (1_000_000 // len(piece)))
    started = time.process_time()
    signs_of(0.5, [reply, reply])
    assert time.process_time() - started < 0.25
