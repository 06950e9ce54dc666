"""Tests router/ledger/assessed.py on both engines, written as the gateway writes."""

from pathlib import Path

import pytest

from router.ledger.assessed import NOTHING_ASSESSED, Assessed, read_assessed
from router.ledger.engines.base import Shape
from router.ledger.engines.opening import engine_of
from router.ledger.ids import first_id
from router.ledger.place import LedgerPlace, reading
from tests.router.dashboard.hand_written import NOW, create
from tests.router.ledger.copying import copied

ASSESSED = Shape(
    "assessments",
    tuple("request_id made tier is_repetitive is_empty is_truncated is_refusal checks failed_checks agreement".split()),
)
RATED = Shape("ratings", tuple("request_id tenant given score".split()))


@pytest.fixture
def ledger(place: LedgerPlace, tmp_path: Path) -> LedgerPlace:
    """A ledger of ten replies, a second apart, the last two of which are after NOW."""
    create(tmp_path / "assessed.db")
    where = copied(tmp_path / "assessed.db", place)
    engine = engine_of(where)
    ids = [f"{first_id(NOW - 8 + number)}abc" for number in range(10)]
    with engine.transaction():
        engine.insert(
            ASSESSED,
            [
                (
                    name,
                    NOW,
                    "mini",
                    n % 2,
                    *(int(n == at) for at in (1, 2, 3)),
                    n // 4,
                    n // 7 % 2,
                    n / 10 if n > 3 else None,
                )
                for n, name in enumerate(ids)
            ],
        )
        engine.insert(RATED, [(ids[0], "acme", NOW, 1.0), (ids[5], "acme", NOW, 0.5), (ids[9], "acme", NOW, 0.0)])
    engine.close()
    return where


SUMS = ({"assessed": 6, "empty": 1, "repetitive": 2, "truncated": 1, "refused": 0},
        {"assessed": 2, "empty": 0, "repetitive": 1, "truncated": 0, "refused": 1})  # fmt: skip


def seen(ledger: LedgerPlace, **more: int) -> Assessed:
    with reading(ledger) as opened:
        return read_assessed(opened, SUMS, start=NOW - 8, end=NOW, **more)


def test_sums_are_of_the_whole_window_and_the_rest_is_of_the_latest(ledger: LedgerPlace) -> None:
    assert seen(ledger) == Assessed(
        replies=8,
        empty=1,
        repetitive=3,
        truncated=1,
        refused=1,
        latest=8,
        checked=4,
        failed=1,
        compared=4,
        agreement=pytest.approx(2.2),  # type: ignore[arg-type] # of 0.4 to 0.7
        agreement_sq=pytest.approx(1.26),  # type: ignore[arg-type]
        ratings=2,
        rating=1.5,
        rating_sq=1.25,
    )


def test_only_the_latest_are_looked_at_where_there_are_many(ledger: LedgerPlace) -> None:
    latest = seen(ledger, most=2)
    assert (latest.replies, latest.latest, latest.checked, latest.failed) == (8, 2, 2, 1)
    assert latest.agreement == pytest.approx(1.3)


def test_of_nothing_nothing_is_counted(ledger: LedgerPlace) -> None:
    with reading(ledger) as opened:
        assert read_assessed(opened, (), start=NOW - 90, end=NOW - 80) == NOTHING_ASSESSED
