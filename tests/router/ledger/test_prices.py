"""Tests of router/ledger/prices.py, price_rows.py, price_order.py and hosting.py.

router/ledger/price_rows.py, router/ledger/price_order.py, router/ledger/hosting.py
"""

from datetime import date
from pathlib import Path

import pytest

from backends.base import Usage
from router.base import Price
from router.ledger.hosting import Standing, together
from router.ledger.money import cost
from router.ledger.prices import PriceBook, PriceBookError, check_book, load, utc_today

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


def written(tmp_path: Path, *rows: str, version: str = "1") -> Path:
    file = tmp_path / "book.yaml"
    file.write_text(f"version: {version}\nprices:\n" + "".join(rows), encoding="utf-8")
    return file


def book(tmp_path: Path, *rows: str, version: str = "1", today: date = NOW) -> PriceBook:
    return load(written(tmp_path, *rows, version=version), today=lambda: today)


def price_in(book: PriceBook, name: str = "m") -> Price:
    price = book.price_of(name)
    assert price is not None
    return price


def test_in_the_shipped_book_large_costs_exactly_ten_times_mini() -> None:
    shipped = load(None, today=lambda: NOW)
    large, mini = shipped.price_of("desk-large"), shipped.price_of("desk-mini")
    assert large is not None
    assert mini is not None
    assert (large.fresh_input, large.cached_input, large.output) == (500_000, 50_000, 1_500_000)
    assert (mini.fresh_input, mini.cached_input, mini.output) == (50_000, 5_000, 150_000)
    usage = Usage(123_456, 654_321, 98_765)
    assert cost(large, usage) == 10 * (cost(mini, usage) or 0)


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


def test_a_clock_that_goes_back_finds_the_older_price_again(tmp_path: Path) -> None:
    days = [date(2026, 6, 1), date(2026, 5, 31), date(1970, 1, 1), date(2026, 6, 1)]
    prices = load(written(tmp_path, row(), row(valid_from="2026-06-01", output="9")), today=lambda: days.pop(0))
    found = [prices.price_of("m") for _ in range(4)]
    assert [price and price.output // 1_000_000 for price in found] == [9, 2, None, 9]


@pytest.mark.parametrize(("today", "output"), [(date(2026, 2, 28), 2), (date(2026, 3, 1), None), (date(2026, 5, 1), 9)])
def test_a_row_with_an_end_holds_no_more_from_that_day_on(tmp_path: Path, today: date, output: int | None) -> None:
    rows = row(valid_to="2026-03-01"), row(valid_from="2026-05-01", output="9")
    price = book(tmp_path, *rows, today=today).price_of("m")
    assert (price and price.output // 1_000_000) == output


def test_a_row_without_an_end_does_not_come_back_when_the_next_has_ended(tmp_path: Path) -> None:
    assert book(tmp_path, row(), row(valid_from="2026-05-01", valid_to="2026-06-01")).price_of("m") is None


def test_rows_of_service_tiers_and_long_prompts_are_variants_of_one_price(tmp_path: Path) -> None:
    price = price_in(
        book(
            tmp_path,
            row(cache_write='"1.25"', per_request='"0.000000005"'),
            row(service_tier="Flex", fresh_input="0.5"),
            row(above_input_tokens="200000", fresh_input="2", valid_from="2026-02-01"),
        )
    )
    assert (price.cache_write, price.per_request, len(price.variants)) == (1_250_000, 5, 2)
    assert cost(price, Usage(4, 0, 0)) == 4 * 1_000 + 5
    assert cost(price, Usage(4, 0, 0, service_tier="flex")) == 4 * 500
    assert cost(price, Usage(200_001, 0, 0)) == 200_001 * 2_000
    assert cost(price, Usage(4, 0, 0, service_tier="priority")) is None
    assert len({price.version, *(each.version for each in price.variants)}) == 3


def test_variants_that_stand_before_the_usual_price_do_not_take_its_place(tmp_path: Path) -> None:
    tier, long = row(service_tier="flex", fresh_input="0.5"), row(above_input_tokens="200000", fresh_input="2")
    for rows in ((tier, long, row()), (long, tier, row())):
        price = price_in(book(tmp_path, *rows))
        assert (price.fresh_input, price.service_tier, price.above_input) == (1_000_000, "", 0)
        assert sorted(each.fresh_input for each in price.variants) == [500_000, 2_000_000]


def test_a_price_of_a_day_is_looked_up_once_for_as_many_names_as_are_kept_at_hand(tmp_path: Path) -> None:
    asked: list[str] = []

    class Counted(PriceBook):
        def price_on(self, name: str, day: date) -> Price | None:
            asked.append(name)
            return super().price_on(name, day)

    prices = Counted(check_book(written(tmp_path, row())).rows, today=lambda: NOW)
    names = ["m", *(f"n{number}" for number in range(1_024))]
    for name in (*names, *names):
        prices.price_of(name)
    assert asked == [*names, names[-1]]


def test_the_day_of_prices_is_that_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seconds in (0.0, 86_399.9, 86_400.0, 20_000 * 86_400 + 86_399.0):
        monkeypatch.setattr("router.ledger.prices.time", lambda moment=seconds: moment)
        found.append(utc_today())
    assert found == [date(1970, 1, 1), date(1970, 1, 1), date(1970, 1, 2), date(2024, 10, 4)]


def test_a_usual_tier_by_any_name_is_the_usual_price(tmp_path: Path) -> None:
    assert price_in(book(tmp_path, row(service_tier="default"))).service_tier == ""


def test_an_expression_prices_each_model_that_it_matches_whole(tmp_path: Path) -> None:
    prices = book(tmp_path, row(model="-", model_regex="m-[0-9]+"), row(model="m-7", output="9"))
    assert (price_in(prices, "m-1").model, price_in(prices, "m-1").output) == ("m-1", 2_000_000)
    assert price_in(prices, "m-7").output == 9_000_000, "a name goes before an expression"
    assert prices.price_of("xm-1") is None
    assert prices.price_of("m-1x") is None


def test_two_expressions_that_match_one_model_price_it_not_at_all(tmp_path: Path) -> None:
    prices = book(tmp_path, row(model="-", model_regex="m-.*"), row(model="-", model_regex=".*-1"))
    assert prices.price_of("m-1") is None
    assert prices.price_of("m-2") is not None


def test_another_currency_is_taken_at_the_rate_of_its_row(tmp_path: Path) -> None:
    price = price_in(book(tmp_path, row(currency="EUR", usd_per_unit='"1.0835"', fresh_input="0.000003")))
    assert (price.fresh_input, price.output) == (3, 2_167_000)


HOSTED = """
      usd_per_gpu_hour: "2.50"
      gpus: 8
      prefill_tokens_per_second: 60000
      decode_tokens_per_second: 8000
      utilisation: "0.60"
      cached_share: "0.02\""""


def test_our_own_gpus_have_prices_that_follow_from_their_hours(tmp_path: Path) -> None:
    prices = book(tmp_path, row(fresh_input="-", output="-", self_hosted=HOSTED))
    price = price_in(prices)
    assert (price.fresh_input, price.cached_input, price.output) == (154_321, 3_086, 1_157_407)
    assert prices.loaded("m", 1.8e9, 1.8e9 + 3_600) == 20 * 10**9
    assert prices.loaded("m", 1.8e9, 1.8e9 + 0.0625) == 347_222, "20 USD / 3,600 * 0.0625, rounded"
    assert prices.loaded("m", 1.8e9, 1.8e9 + 0.1875) == 1_041_667
    assert prices.loaded("n", 0.0, 3_600.0) is None
    flex = row(service_tier="flex")  # of a list, and before the one that is computed
    beside = book(tmp_path, flex, row(fresh_input="-", output="-", self_hosted=HOSTED))
    assert beside.loaded("m", 1.8e9, 1.8e9 + 3_600) == 20 * 10**9


def test_hours_are_paid_for_whether_tokens_come_or_not_and_by_the_row_of_their_day(tmp_path: Path) -> None:
    half = HOSTED.replace("gpus: 8", "gpus: 4")
    rows = [row(fresh_input="-", output="-", self_hosted=each, valid_from=day) for each, day in
            ((HOSTED, "2027-01-15"), (half, "2027-01-17"))]  # fmt: skip
    prices = book(tmp_path, *rows)
    midnight = 1_800_057_600.0  # the 16th of January 2027
    assert prices.loaded("m", midnight - 2 * 86_400, midnight + 2 * 86_400) == (2 * 24 * 20 + 24 * 10) * 10**9
    standings = prices.standings({"m": 7 * 10**9, "api": 5}, since=midnight, until=midnight + 1_800)
    assert standings == (Standing("m", 7 * 10**9, 10 * 10**9),)
    assert (standings[0].idle, standings[0].idle_share) == (3 * 10**9, 0.3)
    assert Standing("free", 5, 0).idle_share == 0.0, "no share of nothing"
    assert together([*standings, Standing("n", 20 * 10**9, 10 * 10**9)]).idle == -7 * 10**9


def test_what_a_version_says_of_old_rows_has_not_changed(tmp_path: Path) -> None:
    assert price_in(book(tmp_path, row())).version == "91add646910a"


BAD = {
    "a row twice": ((row(), row(output="9")), 9, "m has a price from 2026-01-01 already, in line 3"),
    "a field twice": ((row(source="a\n    source: b"),), 8, "source is given twice"),
    "no output": ((row(output="-"),), 3, "output is missing"),
    "no source": ((row(source="-"),), 3, "source is missing"),
    "unknown field": ((row(outptu="1"),), 9, "unknown field 'outptu'; did you mean output?"),
    "unheard-of field": ((row(colour="red"),), 9, "unknown field 'colour'; known are model, model_regex, provider,"),
    "unknown field of our own": (
        (row(fresh_input="-", output="-", self_hosted=HOSTED + "\n      utilization: 1"),),
        14,
        "unknown field 'utilization'; did you mean utilisation?",
    ),
    "a field without a name": ((row(output="1\n    ? [a]\n    : 1"),), 7, "a field without a name"),
    "no day": ((row(valid_from="soon"),), 4, "valid_from is no day"),
    "impossible day": ((row(captured_at="2026-02-30"),), 8, "captured_at is no day"),
    "negative": ((row(output="-1.0"),), 6, "output is below zero"),
    "too fine": ((row(output="0.0000001"),), 6, "output is finer"),
    "a word": ((row(fresh_input="cheap"),), 5, "fresh_input is no plain decimal"),
    "exponent": ((row(fresh_input="1e-2"),), 5, "fresh_input is no plain decimal"),
    "empty price": ((row(output='""'),), 6, "output is empty"),
    "empty name": ((row(model='""'),), 3, "model is empty"),
    "nested price": ((row(output="{usd: 1}"),), 6, "output is empty or not a single value"),
    "a bare row": (("  - desk\n",), 3, "not a mapping"),
    "two names": ((row(model_regex="m"),), 9, "model and model_regex are both given"),
    "no name": ((row(model="-"),), 3, "model is missing"),
    "no expression": ((row(model="-", model_regex="'['"),), 8, "model_regex is no regular expression"),
    "an expression that counts too far": (
        (row(model="-", model_regex="'a{99999999999}'"),),
        8,
        "model_regex is no regular expression: the repetition number is too large",
    ),
    "an expression too deep": (
        (row(model="-", model_regex=f"'{'(?:' * 3_000}a{')' * 3_000}'"),),
        8,
        "model_regex is no regular expression: maximum recursion depth exceeded",
    ),
    "ends before it begins": ((row(valid_to="2026-01-01"),), 9, "valid_to is no later than valid_from"),
    "overlap": (
        (row(valid_to="2026-03-01"), row(valid_from="2026-02-01")),
        3,
        "m holds until 2026-03-01, and another price begins on 2026-02-01, in line 10",
    ),
    "overlap of rows in no order": (
        (row(valid_from="2026-02-01"), row(valid_to="2026-03-01")),
        9,
        "m holds until 2026-03-01, and another price begins on 2026-02-01, in line 3",
    ),
    "long alone": ((row(above_input_tokens="9"),), 3, "m above 9 tokens has no price for shorter prompts"),
    "tier alone": ((row(service_tier="flex"),), 3, "m in tier 'flex' has no price without a service tier"),
    "tier too early": ((row(), row(service_tier="flex", valid_from="2025-01-01")), 9, "m in tier 'flex' has no price"),
    "no length": ((row(above_input_tokens="0"),), 9, "above_input_tokens is no whole number above 0"),
    "currency nobody knows": ((row(currency="XQD"),), 9, "currency XQD has no rate that anybody knows"),
    "no currency": ((row(currency="euros"),), 9, "currency is no code of three capitals"),
    "a rate of nothing": ((row(currency="EUR", usd_per_unit="0"),), 10, "usd_per_unit is 0"),
    "a rate of dollars": ((row(usd_per_unit="1"),), 9, "usd_per_unit is given for USD"),
    "a request below zero": ((row(per_request="-1"),), 9, "per_request is below zero"),
    "a request too dear": ((row(per_request='"9999999999"'),), 9, "per_request is over 1000000 USD"),
    "a unit too dear": (
        (row(currency="EUR", usd_per_unit='"9999999999"', fresh_input='"9999"'),),
        3,
        "a price comes to over 1000000 USD per million tokens",
    ),
    "a unit worth nothing": (
        (row(currency="VND", usd_per_unit='"0.0000000001"'),),
        5,
        "fresh_input comes to less than 0.000001 USD per million tokens, which would be free; check usd_per_unit",
    ),
    "GPUs worth nothing": (
        (row(fresh_input="-", output="-", self_hosted=HOSTED.replace("2.50", "0.000000001")),),
        8,
        "self_hosted comes to less than 0.000001 USD per million tokens, which would be free",
    ),
    "a request too fine": ((row(per_request="0.0000000001"),), 9, "per_request is finer than"),
    "priced and hosted": ((row(fresh_input="1", output="-", self_hosted=HOSTED),), 5, "fresh_input follows from"),
    "half hosted": ((row(fresh_input="-", output="-", self_hosted="{gpus: 8}"),), 7, "self_hosted lacks usd_per_gpu"),
    "never used": (
        (row(fresh_input="-", output="-", self_hosted=HOSTED.replace("0.60", "0")),),
        12,
        "self_hosted.utilisation is 0",
    ),
    "used too much": (
        (row(fresh_input="-", output="-", self_hosted=HOSTED.replace("0.60", "1.2")),),
        12,
        "self_hosted.utilisation is over 1",
    ),
    "half a GPU": (
        (row(fresh_input="-", output="-", self_hosted=HOSTED.replace("gpus: 8", "gpus: 0.5")),),
        9,
        "self_hosted.gpus is no whole number",
    ),
    "no list": (("  desk: 1\n",), 3, "prices is not a list"),
    "half a character": ((row(model='"\\ud800"'),), 3, "model holds half a surrogate pair"),
}


@pytest.mark.parametrize(("rows", "line", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, rows: tuple[str, ...], line: int, message: str) -> None:
    with pytest.raises(PriceBookError) as refused:
        book(tmp_path, *rows)
    place, _, said = str(refused.value).partition(": ")
    assert place.rpartition(":")[0] == f"{tmp_path / 'book.yaml'}:{line}"
    assert said.startswith(message)


def test_a_fault_and_what_is_odd_have_the_column_of_the_key_or_the_row(tmp_path: Path) -> None:
    file = written(tmp_path, row(outptu="1", source="-"), row(model="n", output="cheap"), row(model="o", output="0.5"))
    checked = check_book(file)
    places = [each.removeprefix(f"{file}:").partition(": ")[0] for each in (*checked.faults, *checked.warnings)]
    assert places == ["3:5", "8:5", "12:13", "15:5"]
    assert checked.faults[1].startswith(f"{file}:8:5: unknown field 'outptu'; did you mean output?")


def test_all_wrong_rows_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError) as refused:
        book(tmp_path, row(output="cheap"), row(model="n", source="-"), row(model="o"), row(model="o"), version="7")
    assert [line.split(": ")[0].split(":")[-2] for line in str(refused.value).splitlines()] == ["1", "6", "9", "20"]


@pytest.mark.parametrize(
    ("rows", "line", "said"),
    [
        ((row(valid_to="2026-03-01"), row(valid_from="2026-04-01")), 10, "m has no price from 2026-03-01 until"),
        ((row(output="0.5"),), 3, "m: output costs less than input"),
        ((row(cached_input="1.5"),), 3, "m: cached input costs more than fresh input"),
        ((row(cache_write="0.5", cache_write_1h="0.7"),), 3, "m: what is written into a cache costs less"),
        ((row(cache_write="2", cache_write_1h="1.5"),), 3, "m: to keep a cache for an hour costs less"),
    ],
)
def test_what_is_odd_is_said_and_stops_nothing(tmp_path: Path, rows: tuple[str, ...], line: int, said: str) -> None:
    file = written(tmp_path, *rows)
    checked = check_book(file)
    assert checked.faults == ()
    assert [warning.startswith(f"{file}:{line}:5: {said}") for warning in checked.warnings] == [True]
    assert load(file).price_of("m") is not None


@pytest.mark.parametrize(
    "rows",
    [
        (row(), row(valid_from="2026-06-01")),
        (row(valid_to="2026-06-01"), row(valid_from="2026-06-01")),
        (row(), row(valid_from="2026-06-01"), row(service_tier="flex", valid_from="2026-02-01")),
        (row(), row(above_input_tokens="9")),
        (row(output='"0"'),),  # a model of vectors puts nothing out
        (row(output="1", cached_input="1", cache_write="1", cache_write_1h="1"),),
    ],
)
def test_rows_that_follow_each_other_or_cost_the_same_are_not_odd(tmp_path: Path, rows: tuple[str, ...]) -> None:
    checked = check_book(written(tmp_path, *rows))
    assert (checked.faults, checked.warnings) == ((), ())


def test_the_shipped_book_is_neither_wrong_nor_odd() -> None:
    checked = check_book(None)
    assert (checked.faults, checked.warnings) == ((), ())
    assert len(checked.rows) == 4


@pytest.mark.parametrize("text", ["prices: [", "", "- a", "version: 1", "a: &a [*a]", "[" * 1_000, "version: 1\x00"])
def test_what_is_no_book_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PriceBookError, match=r"book\.yaml"):
        load(file)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("prices: []\nversion: 7\n", "2:10"),
        ("prices: []\n", "1:1"),
        ("version: 1\nprices: none\n", "2:9"),
        ("\nversion: 1\n", "2:1"),
    ],
)
def test_a_fault_of_the_book_is_placed_where_it_is_or_where_the_book_begins(
    tmp_path: Path, text: str, place: str
) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(text, encoding="utf-8")
    assert [each.removeprefix(f"{file}:").partition(": ")[0] for each in check_book(file).faults] == [place]


def test_a_missing_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError, match="cannot be read: no such file"):
        load(tmp_path / "none.yaml")


def test_a_book_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(PriceBookError, match="/dev/zero: cannot be read: it is a device"):
        load(Path("/dev/zero"))
