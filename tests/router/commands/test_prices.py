"""Tests router/commands/prices.py and router/commands/published_prices.py."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backends.base import Usage
from router.commands.program import run
from router.commands.published_prices import as_book, published
from router.ledger.layout import prepare
from router.ledger.money import cost
from router.ledger.prices import PriceBook, check_book, load

types = pytest.importorskip("genai_prices.types")
TODAY = date(2026, 11, 21)
PLAIN = {"input_mtok": Decimal("1.10"), "output_mtok": Decimal("4.40")}


def offered(*models: Any, provider: str = "maker", **more: Any) -> Any:
    return types.Provider(id=provider, name=provider, api_pattern="x", models=list(models), **more)


def model(name: str = "m", *, prices: Any = None, **more: Any) -> Any:
    whole = types.ModelPrice(**PLAIN) if prices is None else prices
    return types.ModelInfo(id=name, match=types.ClauseEquals(equals=name), prices=whole, **more)


def since(day: date | None, **prices: Any) -> Any:
    constraint = None if day is None else types.StartDateConstraint(start_date=day)
    return types.ConditionalPrice(constraint, prices=types.ModelPrice(**prices))


def variant(prices: dict[str, Any], *, day: date | None = None, **when: str) -> Any:
    constraint = None if day is None else types.StartDateConstraint(start_date=day)
    return types.PriceVariant(when=when, prices=types.ModelPrice(**prices), constraint=constraint)


def steps(base: str, **later: str) -> Any:
    tiers = [types.Tier(start=int(start[1:]), price=Decimal(price)) for start, price in later.items()]
    return types.TieredPrices(base=Decimal(base), tiers=tiers)


def book_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *providers: Any) -> tuple[PriceBook, list[str]]:
    """Return the book that a list gives when it was written and read again, and what was left out."""
    monkeypatch.setattr("genai_prices.data.providers", list(providers))
    rows, left = published(re.compile(".*"), provider=None, today=TODAY)
    file = tmp_path / "taken.yaml"
    file.write_text(as_book(rows), encoding="utf-8")
    return load(file, today=lambda: TODAY), [each.why for each in left]


def test_prices_are_the_decimals_of_the_list_and_what_is_not_told_is_inherited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prices = types.ModelPrice(
        **PLAIN, cache_read_mtok=Decimal("0.275"), cache_write_1h_mtok=Decimal("2.2"), output_reasoning_mtok=Decimal(5),
        input_audio_mtok=Decimal("0.000001"), requests_kcount=Decimal("0.005"), web_searches_kcount=Decimal(10),
    )  # fmt: skip
    book, left = book_of(monkeypatch, tmp_path, offered(model(prices=prices)))
    price = book.price_of("m")
    assert price is not None
    assert (price.fresh_input, price.cached_input, price.output) == (1_100_000, 275_000, 4_400_000)
    assert (price.cache_write, price.cache_write_1h, price.reasoning) == (None, 2_200_000, 5_000_000)
    assert (price.audio_input, price.image_output, price.per_request) == (1, None, 5_000)
    assert left == ["web_searches_kcount: not counted here"]


def test_tiers_long_prompts_and_days_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = {"input_mtok": steps("1", _200="2"), "output_mtok": steps("3", _200="4", _500="5")}
    told = model(
        prices=[since(None, **PLAIN), since(date(2025, 1, 1), **long), since(date(2026, 1, 1), **PLAIN)],
        price_variants=[
            variant({}, service_tier="default"),
            variant({"input_mtok": Decimal("0.55")}, service_tier="flex", day=date(2026, 2, 1)),
            variant({}, processing="batch"),
        ],
    )
    book, left = book_of(monkeypatch, tmp_path, offered(told))
    assert left == ["the variant for processing batch"]

    def paid(day: date, tokens: int, tier: str = "") -> int | None:
        price = book.price_on("m", day)
        assert price is not None
        return cost(price, Usage(tokens, 0, 1_000, service_tier=tier))

    assert paid(date(2024, 12, 31), 600) == 600 * 1_100 + 4_400_000
    assert paid(date(2025, 6, 1), 200) == 200 * 1_000 + 3_000_000
    assert paid(date(2025, 6, 1), 201) == 201 * 2_000 + 4_000_000
    assert paid(date(2025, 6, 1), 501) == 501 * 2_000 + 5_000_000
    assert paid(date(2026, 1, 1), 600) == 600 * 1_100 + 4_400_000, "what was dearer for long prompts is so no more"
    assert paid(date(2026, 1, 31), 600, "flex") is None
    assert paid(date(2026, 2, 1), 600, "flex") == 600 * 550 + 4_400_000


HOURLY = types.ConditionalPrice(
    types.TimeOfDateConstraint(start_time=time(1), end_time=time(2)), prices=types.ModelPrice(**PLAIN)
)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (model(prices=[]), "it has no price"),
        (model(prices=types.ModelPrice(audio_hours=Decimal(1))), "it has no price for tokens of input"),
        (model(prices=[since(None, **PLAIN), HOURLY]), "its price depends on the hour of the day"),
        (model(price_comments="converted at 7.25 CNY"), "its price was converted from another currency"),
        (model(prices=types.ModelPrice(input_mtok=Decimal("0.0000001"))), "input_mtok 0.0000001 is finer than"),
        (
            model(price_variants=[variant({"input_mtok": Decimal(9)}, service_tier="default")]),
            "the tier that answers call default is not its usual one",
        ),
    ],
)
def test_what_cannot_be_taken_over_whole_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Any, why: str
) -> None:
    book, left = book_of(monkeypatch, tmp_path, offered(told, model("other")))
    assert book.price_of("m") is None
    assert book.price_of("other") is not None
    assert [each.startswith(why) for each in left] == [True]


def test_a_name_that_two_sell_is_taken_where_they_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dear = types.ModelPrice(input_mtok=Decimal(9), output_mtok=Decimal(9))
    one, two = offered(model(), model("n")), offered(model(), model("n", prices=dear), provider="seller")
    book, left = book_of(monkeypatch, tmp_path, one, two)
    assert book.price_of("m") is not None
    assert book.price_of("n") is None
    assert left == ["maker, seller price it differently; name one of them with --provider"]
    rows, _ = published(re.compile("n"), provider="seller", today=TODAY)
    assert [row.fields["fresh_input"] for row in rows] == ['"9"']


def test_the_installed_list_gives_a_book_without_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "book.yaml"
    command = ["prices", "import", "--models", "gpt-4.*|gemini-2.5.*", "--provider", "openai", "--out", str(out)]
    assert run(command) == 0
    checked = check_book(out)
    assert checked.faults == ()
    assert f"models in {len(checked.rows)} rows" in capsys.readouterr().err
    assert run(command) == 2, "a book is never written over"
    capsys.readouterr()
    assert run(["prices", "show", "gpt-4o", "--file", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["prices"][0]
    assert (shown["fresh_input"], shown["service_tier"]) == ("2.50", "usual")


def test_lint_tells_faults_and_oddities_and_exits_by_the_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "book.yaml"
    head = "version: 1\nprices:\n  - model: m\n    valid_from: 2026-01-01\n    source: s\n    captured_at: 2026-01-01\n"
    file.write_text(f"{head}    fresh_input: 2\n    output: 1\n", encoding="utf-8")
    assert run(["prices", "lint", str(file)]) == 0
    assert "output costs less than input (odd)" in capsys.readouterr().out
    file.write_text(f"{head}    fresh_input: 2\n    output: -1\n", encoding="utf-8")
    assert run(["prices", "lint", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], [fault.split(": ")[0] for fault in told["faults"]]) == (0, [f"{file}:8:13"])
    assert run(["prices", "lint"]) == 0
    assert "4 rows, 0 faults, 0 odd" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lint", "nowhere.yaml"], 1, "cannot be read: no such file or directory"),
        (["import", "--models", "["], 2, "is no regular expression"),
        (["import", "--models", "a{99999999999}"], 2, "is no regular expression"),
        (["import", "--models", "gpt-4o", "--provider", "openai", "--out", "/dev/null/b"], 1, "cannot be written"),
        (["import", "--models", "no-such-model"], 1, "no price was taken over"),
        (["show", "no-such-model"], 1, "(the shipped book): add a row for it, or name another book with --file"),
        (["show", "desk-large", "--on", "soon"], 2, "'soon' is no day"),
        (["show", "desk-large", "--file", "nowhere.yaml"], 1, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prices", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_price_is_shown_with_its_variants_and_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(
        """version: 1
prices:
  - model: m
    valid_from: 2026-01-01
    self_hosted: {usd_per_gpu_hour: "2.50", gpus: 8, prefill_tokens_per_second: 60000, decode_tokens_per_second: 8000,
                  utilisation: "0.6", cached_share: "0.02"}
    source: measured
    captured_at: 2026-01-01
""",
        encoding="utf-8",
    )
    assert run(["prices", "show", "m", "--file", str(file), "--on", "2026-05-01"]) == 0
    shown = capsys.readouterr().out
    for words in ("0.154321", "1.157407", "0.003086", "20.00 USD an hour"):
        assert words in shown
    assert run(["prices", "show", "m", "--file", str(file), "--on", "2025-05-01"]) == 1


def expressions(*names: str) -> str:
    rest = "valid_from: 2026-01-01, fresh_input: 1, output: 2, source: s, captured_at: 2026-01-01"
    return "version: 1\nprices:\n" + "".join(f"  - {{model_regex: '{name}', {rest}}}\n" for name in names)


def test_two_expressions_that_match_one_name_are_both_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(expressions("e.*", "ef.*", "g"), encoding="utf-8")
    assert run(["prices", "lint", str(file)]) == 1
    said = capsys.readouterr().out
    assert f"{file}:4:5: ef.* matches 'ef', as e.* does in line 3, from 2026-01-01 on; narrow one of them" in said
    assert "two of them may still match another name" in said
    assert run(["prices", "show", "efg", "--file", str(file)]) == 1, "a gateway does with it, and leaves efg unpriced"
    assert "matches 'e.*' in line 3 and 'ef.*' in line 4" in capsys.readouterr().err
    file.write_text(expressions("e.*"), encoding="utf-8")
    assert run(["prices", "lint", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unproven"] == ""


CONFIG = """backends:
  large: {use: openai_http, urls: [http://127.0.0.1:9/v1], model: l, price: desk-large}
  mini: {use: openai_http, urls: [http://127.0.0.1:9/v1], model: m, price: abqz}
classifier: {use: rules}
"""
HIDDEN = (r"(?=ab)a\w*z", r"(?=.*q)a\w*")


def test_a_name_that_two_expressions_match_is_shown_with_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(expressions(*HIDDEN), encoding="utf-8")
    assert run(["prices", "lint", str(file)]) == 0, "no name of this kind is made up"
    assert run(["prices", "show", "abqz", "--file", str(file)]) == 1
    said = capsys.readouterr().err
    assert f"it matches {HIDDEN[0]!r} in line 3 and {HIDDEN[1]!r} in line 4" in said
    assert "narrow one of these expressions, or add a row for the name itself" in said


def test_the_models_of_a_configuration_and_of_a_ledger_are_tried_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, config, ledger = tmp_path / "book.yaml", tmp_path / "tandem.yaml", tmp_path / "l.db"
    book.write_text(expressions(*HIDDEN), encoding="utf-8")
    config.write_text(CONFIG, encoding="utf-8")
    assert run(["prices", "lint", str(book), "--config", str(config)]) == 1
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        prepare(connection)
        connection.execute(
            "INSERT INTO attempts (request_id, position, kind, tier, model, replica, price_version, error)"
            " VALUES ('r', 0, 'primary', 'mini', 'abqqz', 'h:1', '', '')"
        )
    capsys.readouterr()
    assert run(["prices", "lint", str(book), "--ledger", str(ledger)]) == 1
    assert "matches 'abqqz'" in capsys.readouterr().out
    assert run(["prices", "lint", str(book), "--ledger", str(tmp_path / "none.db")]) == 1
    assert "there is no ledger" in capsys.readouterr().err
