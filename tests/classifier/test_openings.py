"""Tests classifier/openings.py."""

from classifier.base import Prompt, Turn
from classifier.features import featurise
from classifier.openings import BYTES, MOST, OFTEN, common, mark_of


def mark(text: str) -> int:
    return mark_of(featurise(Prompt((Turn("user", text),))).text)


def test_what_begins_alike_has_one_mark_whatever_follows() -> None:
    begin = "Summarise this letter of a buyer"
    assert len(begin) == BYTES
    assert mark(begin + ": it broke") == mark(begin + "\n\n" + "x" * 5000) != mark(begin[:-1] + "s: it broke")


def test_spaces_before_and_within_do_not_tell_beginnings_apart() -> None:
    assert mark("请判断  下列句子的类别，并给出答案：甲") == mark("\n请判断 下列句子的类别，并给出答案：乙")


def test_short_texts_and_none_have_marks() -> None:
    assert len({mark(""), mark("a"), mark("b")}) == 3


def test_only_what_is_met_often_is_common() -> None:
    assert common([7] * OFTEN + [3] * (OFTEN - 1) + [5] * OFTEN) == (5, 7)
    assert common([]) == ()


def test_the_most_frequent_ones_are_kept_where_there_are_many() -> None:
    marks = [one for one in range(MOST + 4) for _ in range(OFTEN + one)]
    assert common(marks) == tuple(range(4, MOST + 4))
