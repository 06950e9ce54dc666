"""Tests classifier/meaning/pairs.py, classifier/meaning/stock.py, classifier/meaning/choosing.py.

And the stocks of classifier/meaning/stock_english.py and classifier/meaning/stock_chinese.py.
"""

from collections import Counter

import pytest

from classifier.meaning import choosing
from classifier.meaning.base import EQUAL
from classifier.meaning.bounds import measure
from classifier.meaning.choosing import compare, similarities
from classifier.meaning.pairs import STOCKS, WAYS, pairs
from classifier.meaning.reader import StaticReader
from classifier.meaning.stock import lines
from classifier.meaning.vectors import Vocabulary


@pytest.mark.parametrize("half", STOCKS)
def test_there_are_thousands_of_distinct_pairs_of_every_way_in_both_languages(half: str) -> None:
    found = pairs(half, different=4_000, same=500, seed=1)
    assert len({frozenset((pair.one, pair.other)) for pair in found}) == len(found) == 4_500
    ways = Counter((pair.language, pair.way) for pair in found if not pair.same)
    assert set(ways) == {(language, way) for language in ("en", "zh") for way in WAYS}
    assert min(ways.values()) >= 30
    assert all(pair.one != pair.other and "{" not in pair.one + pair.other for pair in found)


def test_a_seed_gives_the_same_pairs_and_another_others() -> None:
    first = pairs("choosing", different=200, same=50, seed=3)
    assert first == pairs("choosing", different=200, same=50, seed=3)
    assert first != pairs("choosing", different=200, same=50, seed=4)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_halves_share_no_wording_and_no_sort(language: str) -> None:
    first, second = (STOCKS[half][language] for half in ("choosing", "measuring"))
    for part in ("asks", "opposites", "roles", "kinds", "negated", "dated", "measured", "compared", "kin"):
        mine, theirs = ({each for line in getattr(stock, part) for each in line} for stock in (first, second))
        shared = mine & theirs
        assert len(shared) <= 0.05 * len(mine), (part, shared)


def test_a_line_that_begins_with_a_bar_goes_on() -> None:
    assert lines("a | b\n| c\nd | e") == (("a", "b", "c"), ("d", "e"))


def test_thresholds_rise_as_bounds_fall(reader: StaticReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "DIFFERENT", 800)
    monkeypatch.setattr(choosing, "SAME", 50)
    found = choosing.thresholds(reader)
    assert [bound for bound, _ in found] == list(choosing.BOUNDS)
    assert [least for _, least in found] == sorted(least for _, least in found)
    assert found[0][1] < found[-1][1] == EQUAL  # so few pairs cannot promise so much


def test_what_was_held_out_keeps_the_bound(reader: StaticReader, vocabulary: Vocabulary) -> None:
    compared = compare(reader, pairs("measuring", different=3_200, same=400, seed=5))
    different, same = similarities(compared, same=False), similarities(compared, same=True)
    found = measure(different, same, threshold=vocabulary.threshold(0.001), confidence=0.95)
    worst = [each.pair for each in compared if not each.pair.same and each.similarity >= vocabulary.threshold(0.001)]
    assert found.upper <= 0.001, worst
    assert found.hits > 0.5
