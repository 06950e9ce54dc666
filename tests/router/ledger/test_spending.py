"""Tests of router/ledger/spending.py: money that was spent, as the ledger has it."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from backends.base import Usage
from router.base import Attempt, Decision, Intent, Outcome, Record, Tier
from router.ledger.holding import interrupt
from router.ledger.ids import maker_of
from router.ledger.place import LedgerUnreadable
from router.ledger.reading import iter_requests
from router.ledger.spending import read_spending
from router.ledger.writer import LedgerWriter

DECISION = Decision(Tier.MINI, "score", None, None, "p@1")
MAKERS = ("0123456789", "abcdef0123")


def identifier(started: float, number: int, maker: str = MAKERS[0]) -> str:
    return f"req_{int(started * 1000):012x}{maker}{number:06x}"


async def write(path: Path, *, now: float) -> None:
    """Write requests of two tenants by two processes, some of which never ended."""
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    made = (
        ("shop", 0, 10, 5, 100),
        ("shop", 1, 10, 7, 100),
        ("shop", 0, 10, None, 100),  # nobody knows: all that was reserved
        ("shop", 0, 7_200, 11, 100),  # before the window
        ("desk", 0, 7_200, 13, 0),
        ("desk", 0, 10, None, 0),
    )
    for number, (tenant, maker, age, cost, reserved) in enumerate(made):
        started = now - age
        name = identifier(started, number, MAKERS[maker])
        intent = Intent(name, "", tenant, "auto", stream=False, started=started, decision=DECISION, reserved=reserved)
        await ledger.open(intent)
        attempt = Attempt("primary", Tier.MINI, "s", "h:1", Usage(1, None, 2), cost, "v")
        ledger.settle(Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 30))
    still_open = identifier(now - 1, 99, MAKERS[1])
    await ledger.open(
        Intent(still_open, "", "shop", "auto", stream=False, started=now - 1, decision=DECISION, reserved=1_000)
    )
    await ledger.aclose()


async def test_what_a_request_cost_counts_or_else_all_that_was_reserved_for_it(tmp_path: Path) -> None:
    now = time.time()
    await write(tmp_path / "l.db", now=now)
    assert read_spending(tmp_path / "l.db", {"shop": now - 3_600, "desk": 0.0}) == {
        "shop": {MAKERS[0]: 105, MAKERS[1]: 1_007},
        "desk": {MAKERS[0]: 13},
    }
    assert read_spending(tmp_path / "l.db", {"other": 0.0}) == {"other": {}}
    assert read_spending(tmp_path / "l.db", {}) == {}
    (opened,) = [row for row in iter_requests(tmp_path / "l.db") if row["outcome"] is None]
    assert maker_of(str(opened["id"])) == MAKERS[1]


async def test_what_was_interrupted_goes_on_counting_in_full(tmp_path: Path) -> None:
    now = time.time()
    await write(tmp_path / "l.db", now=now)
    assert interrupt(tmp_path / "l.db", MAKERS[1], since=now - 60) == 1
    assert read_spending(tmp_path / "l.db", {"shop": now - 3_600})["shop"][MAKERS[1]] == 1_007


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(os.urandom(4_096))
    for name in ("l.db", "none.db"):
        with pytest.raises(LedgerUnreadable, match="cannot be read"):
            read_spending(tmp_path / name, {"shop": 0.0})
