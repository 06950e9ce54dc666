"""router/ledger/writer.py, posting.py and rows.py: one record for each request, whatever happens, on each engine.

router/ledger/writer.py, router/ledger/posting.py, router/ledger/rows.py, router/ledger/engines/sqlite.py
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends.base import Usage
from router.base import Attempt, Decision, Intent, Label, Outcome, Rating, Record, Tier, Unavailable
from router.ledger.engines.sqlite import SqliteEngine
from router.ledger.labels import iter_labels
from router.ledger.lookup import find_request
from router.ledger.place import LedgerPlace, SqlitePlace, reading
from router.ledger.posting import Batch, Found
from router.ledger.reading import iter_requests
from router.ledger.rollup import verify
from router.ledger.writer import LedgerWriter


def intent(name: str) -> Intent:
    return Intent(
        name, "", "acme", "auto", stream=False, started=1.0, decision=Decision(Tier.MINI, "asked", None, None, "p@1")
    )


def by_hand(ledger: LedgerWriter) -> sqlite3.Connection:
    assert isinstance(ledger._engine, SqliteEngine)
    return ledger._engine.connection


def record(name: str, *, cost: int | None = 5) -> Record:
    attempt = Attempt("primary", Tier.MINI, "small", "h:1", Usage(1, None, 2), cost, "v")
    return Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 50)


async def as_rows(ledger: LedgerWriter) -> None:
    """Wait until all open requests have rows, as those have that are open for long."""
    if ledger._journal is not None:
        ledger._journal.rotate()
    await ledger.rate(rating("nobody's"))


async def until_refused(ledger: LedgerWriter) -> None:
    async with asyncio.timeout(5):
        while not ledger.is_refused():
            await asyncio.sleep(0.01)


async def test_an_intent_is_in_a_file_before_its_wait_ends(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    assert [(row["id"], row["outcome"]) for row in iter_requests(place)] == [("a", None)]
    ledger.settle(record("a"))
    await ledger.aclose()
    (row,) = iter_requests(place)
    assert (row["outcome"], row["cost"], row["baseline"]) == ("answered", 5, 50)


async def test_thousands_settled_at_once_are_all_kept(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    waits = [ledger.open(intent(f"r{i}")) for i in range(2_000)]
    for i in range(2_000):
        ledger.settle(record(f"r{i}"))
    await asyncio.gather(*waits)
    await ledger.aclose()
    assert sum(row["outcome"] == "answered" for row in iter_requests(place)) == 2_000


async def test_a_second_settlement_changes_nothing(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.settle(record("a", cost=5))
    ledger.settle(record("a", cost=7))
    await ledger.aclose()
    (row,) = iter_requests(place)
    assert row["cost"] == 5
    assert len(row["attempts"]) == 1


async def test_a_second_gateway_on_the_same_file_is_refused(place: LedgerPlace) -> None:
    loop = asyncio.get_running_loop()
    first = LedgerWriter(place, loop=loop)
    with pytest.raises(Unavailable, match="in use by another gateway"):
        LedgerWriter(place, loop=loop)
    await first.aclose()
    await LedgerWriter(place, loop=loop).aclose()


async def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "l.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(Unavailable, match="version 99"):
        LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="cannot be opened"):
        LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import intent, record
async def main():
    ledger = LedgerWriter(Path(sys.argv[1]), loop=asyncio.get_running_loop())
    for i in range(200):
        await ledger.open(intent(f"r{i:03d}"))
        print(f"r{i:03d}", flush=True)
        if i % 2:
            ledger.settle(record(f"r{i:03d}"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def acknowledged_by(program: str, ledger: Path) -> list[str]:
    """Return the ids that a program has printed which writes this ledger until it kills itself."""
    killed = subprocess.run(
        [sys.executable, "-c", program, str(ledger)],
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return killed.stdout.decode().split()


async def test_a_kill_loses_no_intent_and_the_next_start_closes_the_open_ones(tmp_path: Path) -> None:
    acknowledged = acknowledged_by(_KILLED, tmp_path / "l.db")
    assert len(acknowledged) == 200
    await LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop()).aclose()
    rows = {row["id"]: row["outcome"] for row in iter_requests(tmp_path / "l.db")}
    assert set(rows) == set(acknowledged)
    assert set(rows.values()) <= {"answered", "interrupted"}


async def test_a_ledger_that_refuses_writes_fails_the_wait_and_recovers(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("before"))
    by_hand(ledger).execute("PRAGMA query_only=ON")
    ledger.settle(record("before"))  # its answer was given: it must get in as soon as the file takes it
    await until_refused(ledger)
    with pytest.raises(Unavailable, match="cannot be written"):
        await ledger.open(intent("refused"))
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    await asyncio.sleep(1.0)
    await ledger.open(intent("after"))
    await ledger.aclose()
    rows = {row["id"]: row["outcome"] for row in iter_requests(tmp_path / "l.db")}
    assert rows == {"before": "answered", "after": None}


async def test_one_record_that_cannot_be_held_does_not_stop_the_others(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await asyncio.gather(*(ledger.open(intent(name)) for name in "abc"))
    for name, cost in (("a", 1), ("b", 1 << 70), ("c", 3)):
        ledger.settle(record(name, cost=cost))
    await ledger.open(intent("d"))
    await ledger.aclose()
    rows = {row["id"]: row["cost"] for row in iter_requests(place)}
    assert rows == {"a": 1, "b": None, "c": 3, "d": None}


async def test_a_record_that_is_refused_by_itself_is_tried_once_more(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as hand:
        refuses = "BEGIN SELECT RAISE(ABORT, 'not this one'); END"  # whatever the reason is, an answer was given
        hand.execute(f"CREATE TRIGGER refuses BEFORE INSERT ON requests WHEN NEW.outcome IS NOT NULL {refuses}")
        ledger.settle(record("a"))
        await asyncio.sleep(0.2)
        assert hand.execute("SELECT outcome FROM requests").fetchall() == []
        hand.execute("DROP TRIGGER refuses")
        async with asyncio.timeout(2):
            while hand.execute("SELECT outcome FROM requests").fetchone() != ("answered",):
                await asyncio.sleep(0.02)
    await ledger.aclose()


async def test_records_that_can_never_be_held_are_given_up_at_the_second_time(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await asyncio.gather(*(ledger.open(intent(name)) for name in "ab"))
    for name in "ab":
        ledger.settle(record(name, cost=1 << 70))
    async with asyncio.timeout(3):
        while len(ledger._doubted) != 2:
            await asyncio.sleep(0.01)
        while ledger._doubted or len(ledger._waiting):
            await asyncio.sleep(0.01)
    await asyncio.wait_for(ledger.aclose(), 2)


def shadow(*, cost: int | None = 70, error: str = "") -> Attempt:
    return Attempt("shadow", Tier.LARGE, "big", "h:1", None if error else Usage(1, 0, 2), cost, "v", error)


def label(name: str, *, made: float = 1.0, prompt: bytes | None = b"CANARY") -> Label:
    return Label(name, "acme", made, prompt, Tier.MINI, 1.0, 0.0, 0.2, "linear@1", 0.5, 0.02, "agreement@1")


def rating(name: str, tenant: str = "acme", *, score: float = 1.0, comment: str | None = None) -> Rating:
    return Rating(name, tenant, 2.0, score, comment)


def raw_of(folder: Path) -> bytes:
    """Return every byte of a ledger, its write-ahead file included."""
    return b"".join(path.read_bytes() for path in folder.glob("l.db*"))


async def test_what_cannot_be_held_does_not_keep_the_rest_from_being_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    post = ledger._poster.post

    def slow(batch: Batch) -> Found:
        time.sleep(0.05)
        return post(batch)

    monkeypatch.setattr(ledger._poster, "post", slow)
    refused = ledger.open(replace(intent("b"), model="\ud800"))
    await asyncio.sleep(0.02)  # it is being refused
    ledger.settle(record("a"))
    await ledger.aclose()
    with pytest.raises(Unavailable):
        await refused
    assert [row["outcome"] for row in iter_requests(tmp_path / "l.db")] == ["answered"]


async def test_a_shadow_call_has_one_row_that_its_end_replaces_and_no_part_in_the_request(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.settle(record("a"))
    ledger.shadow("a", shadow(cost=None, error="Interrupted"))
    ledger.shadow("nobody", shadow())
    await asyncio.sleep(0.1)
    (row,) = iter_requests(place)
    assert [attempt["error"] for attempt in row["attempts"]] == ["", "Interrupted"]
    ledger.shadow("a", shadow())
    await ledger.aclose()
    (row,) = iter_requests(place)
    assert [(attempt["kind"], attempt["cost"]) for attempt in row["attempts"]] == [("primary", 5), ("shadow", 70)]
    assert (row["cost"], row["outcome"]) == (5, "answered")


async def test_who_was_asked_in_vain_for_a_shadow_has_rows_of_its_own(place: LedgerPlace) -> None:
    lost = tuple(replace(shadow(cost=cost), kind="hedge_loser") for cost in (3, 4))
    judge = replace(shadow(cost=20), kind="judge")
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.settle(record("a"))
    ledger.shadow("a", shadow(cost=None, error="Interrupted"))
    ledger.shadow("a", judge, lost[:1])
    await asyncio.sleep(0.1)
    for _ in range(2):
        ledger.shadow("a", shadow(), lost)
    await ledger.aclose()
    (row,) = iter_requests(place)
    told = [(attempt["kind"], attempt["cost"]) for attempt in row["attempts"]]
    assert told == [
        ("primary", 5),
        ("shadow", 70),
        ("judge", 20),
        ("hedge_loser", 3),
        ("hedge_loser", 3),
        ("hedge_loser", 4),
    ]
    assert row["cost"] == 5
    assert verify(place) == []


async def test_a_shadow_that_is_written_before_its_request_is_settled_takes_nobody_s_place(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.shadow("a", shadow())
    await asyncio.sleep(0.1)
    ledger.settle(record("a"))
    await ledger.aclose()
    (row,) = iter_requests(place)
    assert [attempt["kind"] for attempt in row["attempts"]] == ["primary", "shadow"]


async def test_a_request_has_one_label_the_first(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    ledger.label(label("a"))
    ledger.label(label("a", made=9.0))
    await ledger.aclose()
    assert [rated.label for rated in iter_labels(place)] == [label("a")]


async def test_a_rating_finds_the_tenant_s_own_request_alone(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    for name in ("a", "b"):
        ledger.open(intent(name))  # a rating that follows at once finds it
    found = await asyncio.gather(
        ledger.rate(rating("a")),
        ledger.rate(rating("a", "rival")),
        ledger.rate(rating("none")),
        ledger.rate(rating("")),
    )
    assert list(found) == ["a", None, None, None]
    await ledger.rate(rating("a", score=0.5, comment="words"))
    ledger.label(label("a"))
    await ledger.aclose()
    with reading(place) as reader:
        assert [tuple(row.values()) for row in reader.rows("SELECT * FROM ratings")] == [
            ("a", "acme", 2.0, 0.5, "words")
        ]
    assert [rated.rating for rated in iter_labels(place)] == [0.5]


async def test_one_rating_that_cannot_be_held_fails_alone(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    found = await asyncio.gather(
        ledger.rate(rating("a")),
        ledger.rate(rating("a", comment="\ud800")),
        ledger.rate(rating("none")),
        return_exceptions=True,
    )
    await ledger.aclose()
    assert (found[0], found[2]) == ("a", None)
    assert isinstance(found[1], Unavailable)


async def test_no_request_has_a_nul_in_its_id_and_a_comment_is_kept_as_it_can_be(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    assert await ledger.rate(rating("a\0")) is None
    assert find_request(place, "a\0", "acme") is None
    assert await ledger.rate(rating("a", comment="x\0y")) == "a"
    await ledger.aclose()
    with reading(place) as reader:
        (kept,) = reader.rows("SELECT comment FROM ratings")
    assert kept["comment"] == ("x\0y" if isinstance(place, SqlitePlace) else "x\ufffdy")


async def test_a_file_that_is_moved_away_takes_nothing_until_it_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "l.db", tmp_path / "away.db"
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    path.rename(away)
    ledger.settle(record("a"))
    await until_refused(ledger)
    with pytest.raises(Unavailable):
        await ledger.open(intent("b"))
    path.write_bytes(b"")  # another file is not the ledger
    with pytest.raises(Unavailable):
        await ledger.open(intent("c"))
    away.replace(path)
    await ledger.open(intent("d"))
    await ledger.aclose()
    assert [(row["id"], row["outcome"]) for row in iter_requests(path)] == [("a", "answered"), ("d", None)]


async def test_shadows_and_labels_wait_for_a_disk_that_refuses_and_ratings_do_not(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    by_hand(ledger).execute("PRAGMA query_only=ON")
    ledger.settle(record("a"))
    ledger.shadow("a", shadow())
    ledger.label(label("a"))
    with pytest.raises(Unavailable, match="cannot be written now"):
        await ledger.rate(rating("a"))
    await asyncio.sleep(0.1)
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    await asyncio.sleep(0.8)
    await ledger.aclose()
    (row,) = iter_requests(tmp_path / "l.db")
    assert [attempt["kind"] for attempt in row["attempts"]] == ["primary", "shadow"]
    assert len(list(iter_labels(tmp_path / "l.db"))) == 1


async def test_old_text_is_erased_from_every_byte_and_new_text_stays(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.label(label("a", made=1.0, prompt=b"CANARY-OLD " * 2_000))
    ledger.label(label("b", made=9.0, prompt=b"CANARY-NEW"))
    await ledger.rate(rating("a", comment="CANARY-SAID"))
    ledger.forget(5.0)
    await ledger.rate(rating("none"))  # written after it
    await asyncio.sleep(0.2)
    raw = raw_of(tmp_path)
    assert (b"CANARY-OLD" in raw, b"CANARY-SAID" in raw, b"CANARY-NEW" in raw) == (False, False, True)
    await ledger.aclose()
    assert [(one.label.prompt, one.rating) for one in iter_labels(tmp_path / "l.db")] == [
        (None, 1.0),
        (b"CANARY-NEW", None),
    ]


async def test_much_old_text_is_erased_in_parts_between_which_requests_get_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.ledger.writer.ERASED", 10)
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    for number in range(95):
        ledger.label(label(f"r{number}"))
    await ledger.open(intent("a"))
    ledger.forget(5.0)
    await ledger.rate(rating("b"))
    async with asyncio.timeout(10):
        while b"CANARY" in raw_of(tmp_path):
            await asyncio.sleep(0.02)
    assert {rated.label.prompt for rated in iter_labels(tmp_path / "l.db")} == {None}
    await ledger.aclose()


async def test_a_reader_does_not_hold_up_the_erasing_nor_requests(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    ledger.label(label("a"))
    await ledger.open(intent("a"))
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM labels").fetchone()
        ledger.forget(5.0)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(ledger.rate(rating("b")), 1.0)
        assert b"CANARY" in (tmp_path / "l.db-wal").read_bytes()  # what the reader may still look at
    ledger.forget(5.0)  # the next time, an hour later
    await asyncio.sleep(0.2)
    assert b"CANARY" not in raw_of(tmp_path)
    await ledger.aclose()


async def test_erasing_that_fails_is_said_and_the_ledger_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    by_hand(ledger).execute("PRAGMA query_only=ON")
    ledger.label(label("a"))
    ledger.forget(5.0)
    await asyncio.sleep(0.1)
    assert "cannot be erased" in caplog.text
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    await ledger.rate(rating("b"))
    await ledger.aclose()
