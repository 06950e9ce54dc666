"""The ledger cut at any byte of its last records; on a full disk: test_process.py.

router/ledger/writer.py, router/ledger/layout.py
"""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from router.base import Decision, Intent, Outcome, Rating, Record, Tier
from router.bench.faults.books import read_ledger
from router.ledger.writer import LedgerWriter

SIZE = 24 << 20  # bytes of the file system: the write-ahead file alone grows to 8 MiB
DECISION = Decision(Tier.MINI, "asked", None, None, "explicit@1")


async def test_cut_at_any_byte_of_the_last_three_records_a_ledger_keeps_all_before(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "ledger.db", loop=asyncio.get_running_loop())
    log = tmp_path / "ledger.db-wal"
    sizes = []
    for number in range(8):
        await ledger.open(_intent(number))
        ledger.settle(_record(number))
        await ledger.rate(Rating("", "acme", 0.0, 0.0, None))  # answered once all before it is written
        sizes.append(log.stat().st_size)
    before = [size for size in sizes if size <= sizes[4]]
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("ledger.db", "ledger.db-wal"):
        shutil.copy(tmp_path / name, kept / name)
    await ledger.aclose()
    whole = (kept / "ledger.db-wal").read_bytes()
    assert len(whole) == sizes[-1]
    for cut in [*range(sizes[4], sizes[-1], 997), sizes[-1] - 1]:
        torn = tmp_path / f"cut-{cut}"
        torn.mkdir()
        shutil.copy(kept / "ledger.db", torn / "ledger.db")
        (torn / "ledger.db-wal").write_bytes(whole[:cut])
        again = LedgerWriter(torn / "ledger.db", loop=asyncio.get_running_loop())
        await again.aclose()
        with closing(sqlite3.connect(torn / "ledger.db")) as connection:
            found = {name for (name,) in connection.execute("SELECT id FROM requests WHERE outcome = 'answered'")}
            (ok,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert ok == "ok"
        assert {f"req_{number}" for number in range(len(before))} <= found, cut
        assert not [each for each in read_ledger(torn / "ledger.db").get("", ()) if each.outcome is None]
        shutil.rmtree(torn)


def _intent(number: int) -> Intent:
    return Intent(f"req_{number}", "", "acme", "mini", stream=False, started=time.time(), decision=DECISION)


def _record(number: int) -> Record:
    return Record(f"req_{number}", Outcome.ANSWERED, 200, (), first_byte=0.1, duration=0.2, baseline=None)
