"""Tests router/ledger/price_overlaps.py, and what the book makes of it."""

import re
from datetime import date

import pytest

from router.base import Price
from router.ledger.price_overlaps import overlaps_between
from router.ledger.price_rows import Row

NEW_YEAR, JUNE = date(2026, 1, 1), date(2026, 6, 1)


def row(name: str, *, line: int = 1, since: date = NEW_YEAR, until: date | None = None, is_plain: bool = False) -> Row:
    price = Price(model=name, version="v", fresh_input=1, cached_input=1, output=1)
    return Row(name, None if is_plain else re.compile(name), since, until, price, line=line)


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ("e.*", "ef.*", "ef"),
        ("gpt-4o?", "gpt-4", "gpt-4"),
        (".*-mini", "gpt-.*", "gpt--mini"),
        ("gpt-.*-mini.*", ".*-4o-.*", "gpt--mini-4o-a"),
        (r"[a-z]+-\d+", "x-1.*", "x-1"),
        ("(?i)CLAUDE.*", "claude-3(-5)?-(opus|haiku)", "claude-3-opus"),
        (r"m-[^a]+", "m-x[0-9]{2,4}", "m-x00"),
        (".{3}", "..x", "aax"),
        (r"(?=ab)a\w*z", r"(?=.*q)a\w*", None),  # what looks ahead is beyond this
        ("foo.*", "bar.*", None),
        ("a{4000000000}", "b", None),
        ("(?:a|" * 260 + "a" + ")" * 260, "a", "a"),  # too deep to make names of, and names are tried nevertheless
    ],
)
def test_two_expressions_overlap_where_one_name_is_found_for_both(one: str, other: str, name: str | None) -> None:
    for first, second in ((one, other), (other, one)):
        found = list(overlaps_between([row(first), row(second, line=2)]))
        assert all(re.fullmatch(each, found[0].name) for each in (one, other)) if name else found == []
    assert [each.name for each in overlaps_between([row(one), row(other)])] == ([name] if name else [])


def test_rows_overlap_only_on_days_on_which_both_hold() -> None:
    assert list(overlaps_between([row("e.*", until=JUNE), row("ef.*", since=JUNE)])) == []
    (found,) = overlaps_between([row("ef.*", line=7, since=JUNE), row("e.*", line=3)])
    assert (found.day, found.first.line, found.second.line) == (JUNE, 3, 7)


def test_rows_may_stand_in_any_order_of_days_and_lines() -> None:
    july = date(2026, 7, 1)
    rows = [row("e.*", since=JUNE, line=8), row("e.*", until=JUNE, line=9), row("ef.*", since=july, line=2)]
    (found,) = overlaps_between(rows)
    assert (found.day, found.first.line, found.second.line) == (july, 2, 8)
    (found,) = overlaps_between([row("e.*", line=5), row("ef.*", line=4)])
    assert (found.day, found.first.line, found.second.line) == (NEW_YEAR, 4, 5)


def test_a_name_with_a_row_of_its_own_is_not_in_doubt_while_that_holds() -> None:
    rows = [row("model-1|a", line=1), row("model-1|b", line=2)]
    assert list(overlaps_between([*rows, row("model-1", is_plain=True)])) == []
    (found,) = overlaps_between([*rows, row("model-1", is_plain=True, until=JUNE)])
    assert found.day == JUNE


def test_names_that_are_known_are_tried_too() -> None:
    rows = [row(r"(?=ab)a\w*z", line=1), row(r"(?=.*q)a\w*", line=2)]
    assert list(overlaps_between(rows)) == []
    assert [each.name for each in overlaps_between(rows, names=["zzz", "abqz"])] == ["abqz"]
