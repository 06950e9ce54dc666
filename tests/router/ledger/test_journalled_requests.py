"""Tests router/ledger/journal.py with what reads it and what makes rows of it: who finds which open request, and when.

Together with router/ledger/writer.py, lookup.py, reading.py, spending.py and posting.py.
"""

import asyncio
import errno
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from router.base import Assessment, Intent, Tier, Unavailable
from router.endpoints.embeddings import TIER
from router.endpoints.wire import new_id
from router.ledger import journal
from router.ledger.engines.sqlite import SqliteEngine, connected
from router.ledger.holding import hold
from router.ledger.ids import maker_of
from router.ledger.journal import journalled
from router.ledger.lookup import find_request
from router.ledger.place import reading
from router.ledger.posting import Batch, Poster
from router.ledger.reading import iter_requests, read_window
from router.ledger.rollup import verify
from router.ledger.spending import read_spending
from router.ledger.views import Window
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import as_rows, by_hand, intent, rating, record, until_refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


def vectors(name: str) -> Intent:
    """Return what a request for embeddings writes down."""
    plain = intent(name)
    return replace(plain, decision=replace(plain.decision, tier=TIER), started=time.time())


async def test_a_request_for_vectors_is_found_but_is_none_that_was_routed(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    asked = vectors("a")
    await ledger.open(asked)
    window = Window(start=asked.started // 60 * 60 - 60, width=60.0, buckets=3, now=asked.started)

    def seen() -> tuple[object, ...]:
        said = read_window(path, window, latest=5)
        return said.totals, said.latest, find_request(path, "a", "acme"), list(iter_requests(path))

    before = seen()
    assert before[:2] == ((), ())
    await as_rows(ledger)
    assert seen() == before
    await ledger.aclose()


async def test_a_request_for_vectors_outlives_its_process(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(vectors("a"))
    (name,) = path.parent.glob("l.db-intents-*")
    left = name.read_bytes()
    ledger.settle(record("a"))
    await ledger.aclose()
    other = path.with_name("m.db")
    other.with_name(name.name.replace("l.db", "m.db")).write_bytes(left)
    hold(other).close()
    assert [(row["id"], row["tier"], row["outcome"]) for row in iter_requests(other)] == [
        ("a", "embeddings", "interrupted")
    ]


async def test_of_requests_under_one_id_of_the_caller_the_latest_is_found(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())

    def found(identifier: str = "theirs") -> object:
        return (find_request(path, identifier, "acme") or {}).get("id")

    for name in ("b", "c", "a"):
        await ledger.open(replace(intent(name), caller_id="theirs"))
    assert found() == "c"
    await as_rows(ledger)
    assert found() == "c"
    await ledger.open(replace(intent("d"), caller_id="theirs"))
    assert (found(), found("a")) == ("d", "a")
    await ledger.open(replace(intent("e"), caller_id="a"))
    assert found("a") == "a"  # it is ours
    await ledger.aclose()


async def test_what_was_reserved_before_a_span_began_counts_elsewhere(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    now, (old, new) = time.time(), (new_id(), new_id())
    await ledger.open(replace(intent(old), started=now - 9, reserved=5))
    await ledger.open(replace(intent(new), started=now, reserved=7))
    assert read_spending(path, {"acme": now - 1, "other": 0.0}) == {"acme": {maker_of(new): 7}, "other": {}}
    await ledger.aclose()


async def test_a_look_at_a_reply_that_comes_before_its_end_is_kept(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.assess(Assessment("a", 1.0, Tier.MINI, "stop", 5, 0.1, 1.2, *(False,) * 4))
    await ledger.rate(rating("nobody's"))  # so that both are written apart
    ledger.settle(record("a"))
    await ledger.aclose()
    with reading(path) as opened:
        assert [row["request_id"] for row in opened.rows("SELECT request_id FROM assessments")] == ["a"]
    assert verify(path) == []


def test_whatever_is_posted_twice_is_one_request(path: Path) -> None:
    hold(path).close()
    twice, open_one = (intent("a"), record("a")), intent("b")
    with closing(connected(path)) as connection:
        poster = Poster(SqliteEngine(connection))
        poster.post(Batch(wholes=[twice, twice], intents=[open_one]))
        poster.post(Batch(wholes=[twice], met=[open_one, intent("a")]))
    assert [(row["id"], row["outcome"], len(row["attempts"])) for row in iter_requests(path)] == [
        ("a", "answered", 1),
        ("b", None, 0),
    ]
    assert verify(path) == []


async def test_no_file_goes_while_a_record_of_it_is_doubted(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as hand:
        refuses = "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        hand.execute(f"CREATE TRIGGER refuses BEFORE INSERT ON requests WHEN NEW.outcome IS NOT NULL {refuses}")
        ledger.settle(record("a"))
        assert ledger._journal is not None
        ledger._journal.rotate()
        async with asyncio.timeout(5):
            while not ledger._doubted:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert [each.id for each in journalled(path)] == ["a"]
        hand.execute("DROP TRIGGER refuses")
    async with asyncio.timeout(5):
        while journalled(path):
            await asyncio.sleep(0.02)
    assert [row["outcome"] for row in iter_requests(path)] == ["answered"]
    await ledger.aclose()


async def test_a_place_that_takes_things_again_is_found_out_though_nobody_asks(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    by_hand(ledger).execute("PRAGMA query_only=ON")
    with pytest.raises(Unavailable):
        await ledger.rate(rating("nobody's"))
    await until_refused(ledger)
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    async with asyncio.timeout(5):
        while ledger.is_refused():
            await asyncio.sleep(0.02)
    await ledger.aclose()


async def test_a_file_that_could_not_be_made_is_not_tried_with_each_request(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def refuse(descriptor: int, _begin: int, _size: int) -> None:
        tries.append(descriptor)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(journal, "AGAIN", 60.0)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for name in "abc":
        await ledger.open(intent(name))
    assert len(tries) == 1
    await ledger.aclose()


async def test_a_file_that_gives_way_early_takes_nothing_of_the_next_ones_time(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    assert ledger._journal is not None
    timer = ledger._journal._timer
    assert timer is not None
    await as_rows(ledger)
    await ledger.open(intent("b"))
    assert timer.cancelled()
    await ledger.aclose()
