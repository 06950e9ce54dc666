"""Tests router/insight/hosted.py, on a ledger of which all is known."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.base import Tier
from router.commands.program import run
from router.insight.hosted import hosted
from router.ledger.prices import PriceBook, load
from tests.router.logged import BEGIN, DAY, Logged, price_of, write_ledger

HOUR = 3_600
TOKENS = (1_000, 500)
HOSTED = """version: 1
prices:
  - model: ours
    valid_from: 2020-01-01
    self_hosted: {usd_per_gpu_hour: "2.50", gpus: 4, prefill_tokens_per_second: 60000, decode_tokens_per_second: 8000,
                  utilisation: "0.6", cached_share: "0.02"}
    source: measured
    captured_at: 2020-01-01
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_ledger(tmp_path / "l.db", [Logged(number, number * 60.0, Tier.MINI, TOKENS) for number in range(3)])


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    (tmp_path / "book.yaml").write_text(HOSTED, encoding="utf-8")
    return load(tmp_path / "book.yaml")


def test_hours_cost_from_the_first_day_that_has_a_request_asked_or_idle(ledger: Path, book: PriceBook) -> None:
    midnight = BEGIN // DAY * DAY
    found = hosted(ledger, book, {"the-mini": "ours"}, since=float("-inf"), until=midnight + 5 * HOUR)
    assert found is not None
    assert (found.since, found.until) == (midnight, midnight + 5 * HOUR)
    (standing,) = found.standings
    paid = 3 * price_of(Tier.MINI, TOKENS)
    assert (standing.model, standing.allocated, standing.loaded) == ("ours", paid, 50 * 10**9)
    assert standing.idle == 50 * 10**9 - paid
    later = hosted(ledger, book, {"the-mini": "ours"}, since=0.0, until=float("inf"), now=midnight + 30 * HOUR)
    assert later is not None
    assert later.standings[0].loaded == 300 * 10**9


def test_without_gpus_of_ours_or_without_requests_there_is_nothing_to_tell(ledger: Path, book: PriceBook) -> None:
    everything = {"since": 0.0, "until": float("inf")}
    assert hosted(ledger, load(None), {"the-mini": "desk-mini"}, **everything) is None
    assert hosted(ledger, book, {"the-mini": "ours"}, since=BEGIN + 2.0 * DAY, until=float("inf")) is None


def test_savings_tell_of_idle_gpus_in_words_and_in_json(
    ledger: Path, book: PriceBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert book.rows
    config = tmp_path / "tandem.yaml"
    config.write_text(
        f"""prices: {tmp_path}/book.yaml
backends:
  large: {{use: openai_http, urls: [http://127.0.0.1:9/v1], model: large, price: l}}
  mini: {{use: openai_http, urls: [http://127.0.0.1:9/v1], model: the-mini, price: ours}}
classifier: {{use: rules}}
""",
        encoding="utf-8",
    )
    until = datetime.fromtimestamp(BEGIN // DAY * DAY + DAY, UTC).strftime("%Y-%m-%d")
    command = ["savings", "--ledger", str(ledger), "--config", str(config), "--until", until]
    assert run([*command, "--json"]) == 0
    gpus = json.loads(capsys.readouterr().out)["own_gpus"]
    assert (gpus["fully_loaded"], gpus["allocated"] + gpus["idle"]) == (240 * 10**9, 240 * 10**9)
    assert gpus["models"].keys() == {"ours"}
    assert run(command) == 0
    said = capsys.readouterr().out
    assert "no estimate" in said
    assert "ours: tokens " in said
    assert "hours 240.00 USD (fully loaded), idle 239." in said
    assert run(["savings", "--ledger", str(ledger), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["own_gpus"] is None
