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


def days(*answered: tuple[int, Tier]) -> list[Logged]:
    return [Logged(number, day * DAY, tier, TOKENS) for number, (day, tier) in enumerate(answered)]


def test_a_span_counts_each_day_that_it_touches_whole_and_no_other(tmp_path: Path, book: PriceBook) -> None:
    midnight, mini = BEGIN // DAY * DAY, Tier.MINI
    ledger = write_ledger(tmp_path / "days.db", days((0, mini), (1, mini), (1, mini), (2, mini), (3, mini)))

    def told(since: float, until: float) -> tuple[float, float, int, int]:
        found = hosted(ledger, book, {"the-mini": "ours"}, since=since, until=until)
        assert found is not None
        return (found.since - midnight, found.until - midnight, found.standings[0].allocated, found.standings[0].loaded)

    one, hourly = price_of(mini, TOKENS), 10 * 10**9
    begin = midnight + DAY + 5 * HOUR
    assert told(begin, begin + DAY) == (DAY, 2 * DAY + 5 * HOUR, 3 * one, 29 * hourly)
    assert told(begin, midnight + 2.0 * DAY) == (DAY, 2 * DAY, 2 * one, 24 * hourly)
    assert told(begin, midnight + 2.0 * DAY + 1) == (DAY, 2 * DAY + 1, 3 * one, 24 * hourly + round(hourly / HOUR))
    assert told(float("-inf"), midnight + 4.0 * DAY) == (0, 4 * DAY, 5 * one, 96 * hourly)


def test_models_are_told_one_by_one_and_together_and_those_of_one_price_as_one(tmp_path: Path) -> None:
    midnight = BEGIN // DAY * DAY
    ledger = write_ledger(tmp_path / "two.db", days((1, Tier.MINI), (0, Tier.LARGE), (1, Tier.LARGE)))
    theirs = HOSTED.partition("prices:\n")[2].replace("model: ours", "model: theirs").replace("gpus: 4", "gpus: 8")
    (tmp_path / "book.yaml").write_text(HOSTED + theirs, encoding="utf-8")
    book, until = load(tmp_path / "book.yaml"), midnight + 2.0 * DAY
    mini, large = (price_of(tier, TOKENS) for tier in (Tier.MINI, Tier.LARGE))
    both = hosted(ledger, book, {"the-mini": "ours", "the-large": "theirs"}, since=0.0, until=until)
    assert both is not None
    assert both.since == midnight
    assert {(each.model, each.allocated, each.loaded) for each in both.standings} == {
        ("ours", mini, 480 * 10**9),
        ("theirs", 2 * large, 960 * 10**9),
    }
    head, *_, last = both.words()
    assert head.startswith("GPUs of our own, 2024-10-04T00:00Z to 2024-10-06T00:00Z; ")
    assert len(both.words()) == 4
    assert last == (
        "  together: tokens 0.0126 USD (allocated), hours 1440.00 USD (fully loaded), idle 1439.9874 USD, 100.0% of the"
        " hours"
    )
    said = both.as_json()
    idle = 1_440 * 10**9 - mini - 2 * large
    assert (said["since"], said["until"], said["idle"]) == (midnight, until, idle)
    assert said["idle_share"] == pytest.approx(idle / (1_440 * 10**9), rel=1e-12)
    as_one = hosted(ledger, book, {"the-mini": "ours", "the-large": "ours"}, since=0.0, until=until)
    assert as_one is not None
    assert [each.allocated for each in as_one.standings] == [mini + 2 * large]
    assert len(as_one.words()) == 2


def test_a_model_that_is_no_backend_any_more_stands_under_its_own_name(tmp_path: Path, ledger: Path) -> None:
    (tmp_path / "book.yaml").write_text(HOSTED.replace("model: ours", "model: the-mini"), encoding="utf-8")
    found = hosted(ledger, load(tmp_path / "book.yaml"), {}, since=0.0, until=BEGIN + DAY)
    assert found is not None
    assert [(each.model, each.allocated) for each in found.standings] == [("the-mini", 3 * price_of(Tier.MINI, TOKENS))]


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
