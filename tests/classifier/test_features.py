"""Tests classifier/features.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.base import Prompt, Turn
from classifier.features import _ALIKE, BUCKETS, NUMBERS, Features, _few, _many, digest, featurise, names
from classifier.window import window

ODD = {
    "nothing": Prompt(()),
    "an empty text": Prompt((Turn("user", ""),)),
    "only images": Prompt((Turn("user", ""), Turn("assistant", ""), Turn("user", ""))),
    "only tools": Prompt((Turn("tool", "{}"), Turn("tool", "")), tools=3),
    "only spaces": Prompt((Turn("user", " \n\t "),)),
    "one letter": Prompt((Turn("user", "x"),)),
    "one character": Prompt((Turn("user", "价"),)),
    "lone surrogates": Prompt((Turn("user", "\ud800 a \udfff" * 1000),)),
    "zero bytes": Prompt((Turn("user", "\0" * 5000),)),
    "only punctuation": Prompt((Turn("user", "?!" * 50),)),
    "words only before": Prompt((Turn("user", "old words"), Turn("user", "？"))),
    "huge numbers": Prompt((Turn("user", "x"),), tools=10**400, max_tokens=10**4300),
    "negative numbers": Prompt((Turn("user", "x"),), tools=-1, max_tokens=-5),
}


def user(text: str) -> Prompt:
    return Prompt((Turn("user", text),))


def number(found: Features, name: str) -> float:
    return float(found.values[-len(NUMBERS) :][NUMBERS.index(name)])


def vector(prompt: Prompt) -> NDArray[np.float64]:
    found = featurise(prompt)
    return np.bincount(found.indices, found.values, BUCKETS + len(NUMBERS)).astype(np.float64)


def likeness(a: Prompt, b: Prompt) -> float:
    one, other = vector(a)[:BUCKETS], vector(b)[:BUCKETS]
    return float(one @ other / np.sqrt(one @ one) / np.sqrt(other @ other))


@pytest.mark.parametrize("prompt", ODD.values(), ids=ODD)
def test_odd_prompts_have_features_too(prompt: Prompt) -> None:
    found = featurise(prompt)
    assert np.isfinite(found.values).all()
    assert len(found.indices) == len(found.values) == len(found.texts())


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "tool", "x"]), st.text(st.characters(), max_size=40))))
def test_any_text_gives_finite_values_at_columns_that_exist(turns: list[tuple[str, str]]) -> None:
    found = featurise(Prompt(tuple(Turn(role, text) for role, text in turns)))
    assert np.isfinite(found.values).all()
    assert found.indices.min() >= 0
    assert found.indices.max() == BUCKETS + len(NUMBERS) - 1
    assert len(found.indices) == len(found.values) == len(found.texts())


def test_equal_prompts_have_equal_features_and_others_have_not() -> None:
    text = "Which is cheaper, the lamp or the 椅子?"
    assert np.array_equal(featurise(user(text)).indices, featurise(user(text)).indices)
    assert np.array_equal(featurise(user(text)).values, featurise(user(text)).values)
    assert likeness(user(text), user("When are you open?")) < 0.5


def test_columns_are_the_same_on_each_machine_and_in_each_version() -> None:
    # Whoever changes these raises features.VERSION: weights that users fitted stand on them.
    columns = featurise(user("Lamp or 价?")).indices.tolist()[: -len(NUMBERS)]
    assert columns == [27215, 9135, 21874, 576, 2567, 20805, 28776, 23163, 487]
    assert digest().startswith("071f6ebc5ce85ea6")


def test_agreeing_to_a_proposal_looks_like_the_proposal_and_refusing_does_not() -> None:
    proposal = "I could compare the warranty of both heaters and work out which one costs less over ten years."
    agreed = Prompt((Turn("user", "Help me choose."), Turn("assistant", proposal), Turn("user", "yes, do it")))
    refused = Prompt((*agreed.turns[:2], Turn("user", "no, where is my order? I want to cancel it today, please.")))
    assert likeness(agreed, user(proposal)) > 0.6 > likeness(agreed, user("yes, do it"))
    assert likeness(refused, user(proposal)) < 0.4


def test_a_long_last_turn_speaks_for_itself() -> None:
    last = "Where can I see the opening hours of your shop for the coming Monday and Tuesday?"
    talk = Prompt(
        (Turn("user", "Compare the warranty of both heaters."), Turn("assistant", "Sure."), Turn("user", last))
    )
    assert likeness(talk, user(last)) > 0.95


def test_words_before_a_chinese_turn_stay_small_though_it_has_none() -> None:
    last = "你们星期三几点开门，我可以来店里吗？请告诉我。"
    talk = Prompt(
        (Turn("user", "Compare the warranty of both heaters."), Turn("assistant", "Sure."), Turn("user", last))
    )
    assert likeness(talk, user(last)) > 0.89


def test_case_and_white_space_change_little() -> None:
    assert likeness(user("Compare the Amber Lamp"), user("COMPARE  the\namber lamp ")) == pytest.approx(1.0)


def test_chinese_is_read_by_characters() -> None:
    texts = featurise(user("保修多久")).texts()
    assert {'"保"', '"修"', '"保修"', '"修多"', '"多久"', '"保修多"'} <= set(texts)
    assert number(featurise(user("保修多久")), "share of Chinese") > 0.9
    assert number(featurise(user("how long")), "share of Chinese") == 0.0


def test_the_numbers_count_what_their_names_say() -> None:
    plain, full = featurise(user("tell me")), featurise(user("{A: 12 + 30} ? ？\n[b] = 7, (c)."))
    for name in (
        "question marks",
        "lines",
        "commas",
        "full stops",
        "brackets",
        "numbers",
        "share of digits",
        "share of capitals",
        "share of code marks",
        "share of maths marks",
    ):
        assert number(plain, name) == 0.0
        assert number(full, name) > 0.0
    assert number(full, "question marks") == pytest.approx(np.log1p(2))
    assert number(full, "numbers") == pytest.approx(np.log1p(3))
    offered = featurise(Prompt((Turn("user", "tell me"),), tools=2, max_tokens=100))
    assert number(offered, "tools") == pytest.approx(np.log1p(2))
    assert number(offered, "max_tokens") == pytest.approx(np.log1p(100) / 4)


def test_texts_name_what_stands_in_the_prompt() -> None:
    texts = featurise(user("Compare the lamps")).texts()
    assert {'"Compare"', '"lamps"', '"Compare the"', '"the lamps"', '"Compare the lamps"'} <= set(texts)
    assert texts[-len(NUMBERS) :] == NUMBERS


def test_a_word_is_told_by_its_first_letters_and_digits_are_alike() -> None:
    assert likeness(user("compared lamps"), user("comparison lamps")) == pytest.approx(1.0)
    assert likeness(user("order 12345"), user("order 98760")) == pytest.approx(1.0)
    assert likeness(user("order 12345"), user("order 123")) < 0.9


def test_marks_are_words_of_their_own() -> None:
    assert likeness(user("lamp"), user("lamp?")) < 0.9
    assert likeness(user("a(b)"), user("a ( b )")) == pytest.approx(1.0)


def test_a_word_before_or_behind_chinese_stands_alone() -> None:
    assert {'"订"', '"abc"', '"单"', '"12"'} <= set(featurise(user("订abc单12")).texts())


def test_there_is_a_name_for_each_column() -> None:
    assert len(set(names())) == len(names()) == BUCKETS + len(NUMBERS)
    assert names()[17] == "ngram:17"


def test_no_more_entries_come_of_a_megabyte_than_of_some_kilobytes() -> None:
    sizes = [len(featurise(user("some words 12? " * (size // 15))).indices) for size in (8_000, 64_000, 1_000_000)]
    assert max(sizes) - min(sizes) < 20
    assert max(sizes) < 3000


def test_full_width_signs_are_the_plain_ones() -> None:
    assert likeness(user("Ｗｈａｔ　costs　１２?"), user("What costs 12?")) == pytest.approx(1.0)
    assert likeness(user("多少钱？好，谢谢！（急）"), user("多少钱?好,谢谢!(急)")) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=30)), min_size=1, max_size=4))
def test_few_bytes_and_many_are_read_alike(turns: list[tuple[str, str]]) -> None:
    seen = window(Prompt(tuple(Turn(role, text) for role, text in turns)))
    alike = seen.text.translate(_ALIKE)
    few, many = _few(alike, seen.split), _many(alike, seen.split)
    assert few[0].tolist() == many[0].tolist()
    assert few[1] == many[1]


@given(st.binary(max_size=40))
def test_bytes_that_are_cut_in_the_middle_of_a_character_are_read_alike(cut: bytes) -> None:
    text = b" " + cut.translate(_ALIKE) + b" "
    assert _few(text, len(text))[0].tolist() == _many(text, len(text))[0].tolist()
