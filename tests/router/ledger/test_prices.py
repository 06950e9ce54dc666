"""Tests of router/ledger/prices.py."""

from datetime import date
from pathlib import Path

import pytest

from backends.base import Usage
from router.ledger.money import cost
from router.ledger.prices import PriceBook, PriceBookError, load

NOW = date(2026, 11, 21)


def row(**fields: str) -> str:
    said = {
        "model": "m",
        "valid_from": "2026-01-01",
        "fresh_input": '"1.00"',
        "output": '"2.00"',
        "source": "a contract",
        "captured_at": "2026-01-01",
        **fields,
    }
    return "  - " + "\n    ".join(f"{name}: {value}" for name, value in said.items() if value != "-") + "\n"


def book(tmp_path: Path, *rows: str, version: str = "1", today: date = NOW) -> PriceBook:
    file = tmp_path / "book.yaml"
    file.write_text(f"version: {version}\nprices:\n" + "".join(rows), encoding="utf-8")
    return load(file, today=lambda: today)


def test_in_the_shipped_book_large_costs_exactly_ten_times_mini() -> None:
    shipped = load(None, today=lambda: NOW)
    large, mini = shipped.price_of("desk-large"), shipped.price_of("desk-mini")
    assert large is not None
    assert mini is not None
    assert (large.fresh_input, large.cached_input, large.output) == (500_000, 50_000, 1_500_000)
    assert (mini.fresh_input, mini.cached_input, mini.output) == (50_000, 5_000, 150_000)
    usage = Usage(123_456, 654_321, 98_765)
    assert cost(large, usage) == 10 * cost(mini, usage)


def test_the_shipped_examples_are_priced_too() -> None:
    shipped = load(None)
    for name in ("mistral-large", "ministral"):
        price = shipped.price_of(name)
        assert price is not None
        assert price.model == name


def test_a_model_without_a_row_has_no_price_rather_than_none_to_pay(tmp_path: Path) -> None:
    assert book(tmp_path, row()).price_of("another") is None


def test_cached_tokens_cost_as_much_as_fresh_ones_unless_the_row_says_otherwise(tmp_path: Path) -> None:
    plain = book(tmp_path, row()).price_of("m")
    assert plain is not None
    assert plain.cached_input == plain.fresh_input == 1_000_000
    free = book(tmp_path, row(cached_input='"0"')).price_of("m")
    assert free is not None
    assert free.cached_input == 0


def test_an_unquoted_price_is_as_exact_as_a_quoted_one(tmp_path: Path) -> None:
    price = book(tmp_path, row(fresh_input="0.30", output="1.10")).price_of("m")
    assert price is not None
    assert (price.fresh_input, price.output) == (300_000, 1_100_000)


@pytest.mark.parametrize(
    ("today", "fresh_input"),
    [
        (date(2025, 12, 31), None),
        (date(2026, 1, 1), 1),
        (date(2026, 5, 31), 1),
        (date(2026, 6, 1), 3),
        (date(2030, 1, 1), 3),
    ],
)
def test_a_row_holds_from_its_day_until_the_next_begins(tmp_path: Path, today: date, fresh_input: int | None) -> None:
    rows = row(fresh_input='"3"', valid_from="2026-06-01"), row()
    price = book(tmp_path, *rows, today=today).price_of("m")
    assert (None if price is None else price.fresh_input // 1_000_000) == fresh_input


def test_a_price_changes_at_midnight_without_a_reload(tmp_path: Path) -> None:
    days = [date(2026, 5, 31), date(2026, 6, 1)]
    file = tmp_path / "book.yaml"
    file.write_text("version: 1\nprices:\n" + row() + row(valid_from="2026-06-01", output="9"), encoding="utf-8")
    prices = load(file, today=lambda: days.pop(0))
    before, after = prices.price_of("m"), prices.price_of("m")
    assert before is not None
    assert after is not None
    assert (before.output, after.output) == (2_000_000, 9_000_000)


def test_a_version_names_one_row_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, again = book(tmp_path, row()).price_of("m"), book(tmp_path, row()).price_of("m")
    other = book(tmp_path, row(source="another contract")).price_of("m")
    assert first is not None
    assert other is not None
    assert first == again
    assert len(first.version) == 12
    assert other.version != first.version


BAD = {
    "a row twice": ((row(), row(output="9")), 9, "m has a price from 2026-01-01 already, in line 3"),
    "a field twice": ((row(source="a\n    source: b"),), 8, "source is given twice"),
    "no output": ((row(output="-"),), 3, "output is missing"),
    "no source": ((row(source="-"),), 3, "source is missing"),
    "unknown field": ((row(outptu="1"),), 9, "unknown field"),
    "no day": ((row(valid_from="soon"),), 4, "valid_from is no day"),
    "impossible day": ((row(captured_at="2026-02-30"),), 8, "captured_at is no day"),
    "negative": ((row(output="-1.0"),), 6, "output is no plain decimal"),
    "too fine": ((row(output="0.0000001"),), 6, "output is finer"),
    "a word": ((row(fresh_input="cheap"),), 5, "fresh_input is no plain decimal"),
    "exponent": ((row(fresh_input="1e-2"),), 5, "fresh_input is no plain decimal"),
    "empty price": ((row(output='""'),), 6, "output is empty"),
    "empty name": ((row(model='""'),), 3, "model is empty"),
    "nested price": ((row(output="{usd: 1}"),), 6, "output is empty or not a single value"),
    "a bare row": (("  - desk\n",), 3, "not a mapping"),
    "no list": (("  desk: 1\n",), 3, "prices is not a list"),
}


@pytest.mark.parametrize(("rows", "line", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, rows: tuple[str, ...], line: int, message: str) -> None:
    with pytest.raises(PriceBookError) as refused:
        book(tmp_path, *rows)
    assert str(refused.value).startswith(f"{tmp_path / 'book.yaml'}:{line}: {message}")


def test_all_wrong_rows_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError) as refused:
        book(tmp_path, row(output="cheap"), row(model="n", source="-"), row(model="o"), row(model="o"), version="7")
    assert [line.split(": ")[0].rpartition(":")[2] for line in str(refused.value).splitlines()] == ["1", "6", "9", "20"]


@pytest.mark.parametrize("text", ["prices: [", "", "- a", "version: 1", "a: &a [*a]", "[" * 1_000, "version: 1\x00"])
def test_what_is_no_book_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PriceBookError, match=r"book\.yaml"):
        load(file)


def test_a_missing_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError, match="FileNotFoundError"):
        load(tmp_path / "none.yaml")
