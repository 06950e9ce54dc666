"""Tests router/ledger/savings.py and router/ledger/replays.py on both engines: each reads what the other one reads."""

from pathlib import Path

import pytest

from router.base import Tier
from router.ledger.engines.opening import engine_of
from router.ledger.place import LedgerPlace, LedgerUnreadable, SqlitePlace
from router.ledger.replays import iter_logged
from router.ledger.savings import Found, read_savings
from router.ledger.versions import REVISION
from tests.router.ledger.copying import copied
from tests.router.logged import BEGIN, DAY, Logged, price_of, write_ledger

EVER = {"since": float("-inf"), "until": float("inf")}


@pytest.fixture
def ledger(place: LedgerPlace, tmp_path: Path) -> LedgerPlace:
    """A ledger of a dozen requests on two days, every third of which was sent to the other tier too."""
    logged = [
        Logged(
            number,
            at=number * DAY / 6,
            tier=Tier.LARGE if number % 4 == 0 else Tier.MINI,
            tokens=(100 + number, 10),
            score=number / 12,
            user=f"{number % 3}bcd",
            shadow=(100 + number, 30) if number % 3 == 0 else None,
            labels=(1.0, 0.0) if number % 3 == 0 else None,
            rating=0.5 if number == 5 else None,
            kept=number == 10,
        )
        for number in range(12)
    ]
    (tmp_path / "made").mkdir()
    return copied(write_ledger(tmp_path / "made" / "l.db", logged), place)


def found_in(ledger: LedgerPlace, **span: float) -> Found:
    found = read_savings(ledger, **{**EVER, **span})
    assert found is not None
    return found


def test_sums_are_by_the_first_digits_of_who_asked(ledger: LedgerPlace) -> None:
    found = found_in(ledger)
    assert (found.first, found.after) == (BEGIN // DAY, BEGIN // DAY + 2)
    assert [(group.tenant, group.part) for group in found.groups] == [("acme", f"{digit}bc") for digit in range(3)]
    assert sum(group.rest for group in found.groups) == 8
    assert sum(group.scored for group in found.groups) == 8
    assert sum(group.large for group in found.groups) == sum(
        price_of(Tier.LARGE, (100 + number, 10)) for number in (0, 4, 8)
    )
    assert sum(part.requests for part in found.parts) == 12
    assert sum(answers for _, answers in found.hours) == 8


def test_shadow_calls_come_with_the_tokens_of_the_answer(ledger: LedgerPlace) -> None:
    shadows = found_in(ledger).shadows
    assert [(each.input, each.output) for each in shadows] == [(100 + number, 10) for number in (0, 3, 6, 9)]
    assert [each.tells_of_large for each in shadows] == [False, True, True, True]
    assert shadows[1].cost == price_of(Tier.LARGE, (103, 30))


def test_the_tokens_of_an_answer_are_not_those_of_what_was_asked_beside_it(ledger: LedgerPlace) -> None:
    third = list(iter_logged(ledger))[3].id
    engine = engine_of(ledger)
    for position, kind, error in ((1, "judge", ""), (2, "failover", "StreamBroken"), (1_001, "judge", "")):
        engine.run(
            "INSERT INTO attempts (request_id, position, kind, tier, model, replica, fresh_input, output,"
            " price_version, error) VALUES (:id, :position, :kind, 'mini', '', '', 7000, 9000, '', :error)",
            {"id": third, "position": position, "kind": kind, "error": error},
        )
    engine.close()
    found = [each for each in found_in(ledger).shadows if each.input != 100]
    assert [(each.kind, each.input, each.output) for each in found] == [
        ("shadow", 103, 10),
        ("judge", 103, 10),
        ("shadow", 106, 10),
        ("shadow", 109, 10),
    ]


def test_a_span_is_of_the_days_that_it_touches(ledger: LedgerPlace) -> None:
    second = found_in(ledger, since=BEGIN + DAY + 5, until=BEGIN + DAY + 6)
    assert sum(part.requests for part in second.parts) == 6
    assert len(second.shadows) == 2
    midnight = (BEGIN // DAY + 1) * DAY
    assert found_in(ledger, until=midnight).after * DAY == midnight, "a day that begins as a span ends is no part of it"
    assert read_savings(ledger, since=BEGIN + 5 * DAY, until=float("inf")) is None


def test_days_whose_rows_were_erased_are_left_out(ledger: LedgerPlace) -> None:
    engine = engine_of(ledger)
    engine.run("INSERT INTO marks VALUES ('raw_from', :value)", {"value": repr(float(BEGIN // DAY * DAY + DAY))})
    engine.close()
    assert found_in(ledger).first == BEGIN // DAY + 1


def test_requests_come_with_all_that_was_said_of_them(ledger: LedgerPlace) -> None:
    logged = list(iter_logged(ledger))
    assert len(logged) == 12
    assert [each.id for each in logged] == sorted(each.id for each in logged)
    third, fifth, kept = logged[3], logged[5], logged[10]
    assert [(call.kind, call.tier) for call in third.calls] == [("primary", "mini"), ("shadow", "large")]
    assert (third.strong_score, third.weak_score, third.score, third.threshold) == (1.0, 0.0, 3 / 12, 0.5)
    assert third.calls[1].usage is not None
    assert third.calls[1].usage.output == 30
    assert (fifth.rating, fifth.flaws) == (0.5, None)
    assert (kept.source, kept.calls) == ("cache", ())


def test_what_was_asked_beside_an_answer_is_told_and_what_was_asked_after_it_is_not(ledger: LedgerPlace) -> None:
    first = next(iter_logged(ledger)).id
    engine = engine_of(ledger)
    engine.run("UPDATE requests SET reply_key = 'k' WHERE id = :id", {"id": first})
    for position, kind, tier in ((1, "classifier", "embeddings"), (1_001, "judge", "large")):
        engine.run(
            "INSERT INTO attempts (request_id, position, kind, tier, model, replica, price_version, error)"
            " VALUES (:id, :position, :kind, :tier, '', '', '', '')",
            {"id": first, "position": position, "kind": kind, "tier": tier},
        )
    engine.close()
    logged = list(iter_logged(ledger))
    assert [(call.kind, call.tier) for call in logged[0].calls] == [
        ("primary", "large"),
        ("classifier", None),
        ("shadow", "mini"),
    ]
    assert [each.reply_key for each in logged[:2]] == ["k", ""]


def test_requests_of_a_span_alone_are_read(ledger: LedgerPlace) -> None:
    assert len(list(iter_logged(ledger, since=BEGIN + DAY / 6, until=BEGIN + DAY / 2))) == 2


def test_a_ledger_of_another_version_is_refused(ledger: LedgerPlace) -> None:
    engine = engine_of(ledger)
    engine.run("UPDATE alembic_version SET version_num = '0099'", {})
    engine.close()
    with pytest.raises(
        LedgerUnreadable, match=rf"of version 0099, which .* does not know \(it knows 0001 to {REVISION}"
    ):
        list(iter_logged(ledger))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE requests SET score = 'much'", "score is no number"),
        ("UPDATE requests SET started = 1e18", "started is no time"),
        ("UPDATE attempts SET tier = 'middle'", "'middle' is not a valid Tier"),
        ("UPDATE requests SET first_byte = 9e999", "first_byte is inf"),
        ("UPDATE requests SET sampled = 2", "sampled is 2.0"),
        ("UPDATE requests SET propensity = 0", "propensity is 0.0"),
        ("UPDATE attempts SET cost = 'much'", "cost of a call is 'much'"),
        ("UPDATE attempts SET output = -5", "output of a call is -5"),
        ("UPDATE labels SET strong_score = 'good'", "strong_score is no number"),
        ("UPDATE labels SET weak_score = 7", "weak_score is 7.0"),
    ],
)
def test_a_request_that_is_damaged_is_named(tmp_path: Path, damage: str, said: str) -> None:
    one = Logged(0, at=0.0, tier=Tier.MINI, tokens=(1, 1), score=0.5, labels=(1.0, 0.0))
    path = write_ledger(tmp_path / "l.db", [one])
    engine = engine_of(SqlitePlace(path))
    engine.run(damage, {})
    engine.close()
    with pytest.raises(LedgerUnreadable, match=f"of request .* is damaged: {said}"):
        list(iter_logged(path))


def test_a_ledger_before_versions_were_named_is_refused(ledger: LedgerPlace) -> None:
    engine = engine_of(ledger)
    engine.run("DROP TABLE alembic_version", {})
    engine.close()
    with pytest.raises(LedgerUnreadable, match=r"its layout is (of an older version|marked as [0-9]+ and as none)"):
        list(iter_logged(ledger))
