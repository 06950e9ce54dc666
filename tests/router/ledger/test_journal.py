"""router/ledger/journal.py: an intent outlives its process, and is a row once, whoever writes it."""

import asyncio
import errno
import os
import resource
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from classifier.base import Score
from router.base import Decision, Intent, Signal, Tier, Unavailable
from router.endpoints.wire import new_id
from router.ledger import journal
from router.ledger.holding import hold, interrupt
from router.ledger.ids import maker_of
from router.ledger.journal import INTENTS, IntentFile, Left, journalled, left_behind
from router.ledger.lookup import find_request
from router.ledger.place import LedgerUnreadable, reading
from router.ledger.reading import iter_requests, read_window
from router.ledger.rollup import verify
from router.ledger.rows import open_row
from router.ledger.spending import read_spending
from router.ledger.views import Window
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import (
    acknowledged_by,
    as_rows,
    by_hand,
    intent,
    rating,
    record,
    shadow,
    until_refused,
)

FULL = Intent(
    "req_full", "theirs", "acme", "auto", stream=True, started=1.5, reserved=7, user="u", conversation="c", unit="x",
    decision=Decision(Tier.LARGE, "score", Score(0.7, "linear@1"), 0.5, "p@1", "b", 0.25, 0.5, 3, 4, "e"),
    sampled=0.5, inputs='{"a":1}', config="v", reply_key="k",
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


@pytest.fixture
def file(path: Path) -> Iterator[IntentFile]:
    made = IntentFile(path)
    yield made
    made.remove()


def files(path: Path) -> list[Path]:
    return sorted(path.parent.glob("l.db-intents-*"))


def rows_in(path: Path) -> dict[str, str | None]:
    with reading(path) as opened:
        return {row["id"]: row["outcome"] for row in opened.rows("SELECT id, outcome FROM requests")}


def test_every_field_comes_back(file: IntentFile, path: Path) -> None:
    plain = intent("a")
    for each in (FULL, plain):
        file.write(each)
    assert journalled(path) == [FULL, plain]


def test_a_line_that_is_not_all_there_is_none_and_those_around_it_stand(file: IntentFile, path: Path) -> None:
    for each in (intent("a"), FULL):
        file.write(each)
    (name,) = files(path)
    whole = name.read_bytes()
    begin, end = whole.index(b"\n") + 1, len(whole.rstrip(b"\0")) - 1
    other = path.with_name("m.db")
    for cut in range(begin, end):  # as a process leaves it that is killed meanwhile
        path.with_name("m.db-intents-c0c0c0c0c0c0").write_bytes(whole[:cut] + bytes(9))
        assert [each.id for each in journalled(other)] == ["a"]
    path.with_name("m.db-intents-c0c0c0c0c0c0").write_bytes(whole[:-1])
    assert [each.id for each in journalled(other)] == ["a", "req_full"]


def test_a_file_belongs_to_its_process_until_that_ends(file: IntentFile, path: Path) -> None:
    file.write(FULL)
    assert list(left_behind(path)) == []
    assert files(path)
    os.close(os.dup(file._descriptor))  # whoever else has had the file open has given nothing back
    assert list(left_behind(path)) == []


def leave(path: Path, *intents: Intent) -> Path:
    """Leave a file as a process does that is killed."""
    gone = IntentFile(path)
    for each in intents:
        gone.write(each)
    gone._lines.close()
    os.close(gone._descriptor)
    return gone._path


def test_what_cannot_be_taken_over_stays(path: Path) -> None:
    leave(path, FULL)
    with closing(left_behind(path)) as found:
        assert next(found) == Left([FULL], 0)  # and no more is asked for
    assert list(left_behind(path)) == [Left([FULL], 0)]
    assert files(path) == []


def test_what_is_no_file_of_ours_is_neither_opened_nor_removed(path: Path) -> None:
    own = "0123456789ab"
    os.mkfifo(f"{path}{INTENTS}{own}")
    path.with_name(f"l.db{INTENTS}folder000000").mkdir()
    path.with_name(f"l.db{INTENTS}aaaaaaaaaaaa").mkdir()
    path.with_name(f"l.db{INTENTS}bbbbbbbbbbbb").symlink_to("nowhere")
    other = path.with_name(f"l.db{INTENTS}foo")  # a ledger of another gateway, which has left something as well
    hold(other).close()
    theirs = leave(other, FULL)
    before = files(path)
    hold(path).close()
    assert journalled(path) == []
    assert files(path) == before
    assert theirs.exists()
    hold(other).close()
    assert rows_in(other) == {"req_full": "interrupted"}


def test_of_damaged_files_all_is_saved_that_can_be_and_they_are_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = msgspec.json.encode({"id": "a", "what": "an earlier version wrote"})
    newer = msgspec.json.encode({**msgspec.to_builtins(intent("newer")), "more": [1, "x"]})
    huge = msgspec.json.encode({**msgspec.to_builtins(intent("huge")), "reserved": 1 << 63})
    whole = msgspec.json.encode(FULL)
    lines = [b'{"id":"\xff"}', b"[" * 9_000, b'{"x":' * 9_000, older, newer, huge, bytes(99) + whole, b'{"id":"pie']
    damaged, empty = leave(path), leave(path)
    damaged.write_bytes(b"\n".join(lines) + bytes(50))
    empty.write_bytes(b"")
    assert [each.id for each in journalled(path)] == ["newer", "huge", "req_full"]
    for _ in range(2):
        hold(path).close()
    assert rows_in(path) == {"newer": "interrupted", "req_full": "interrupted"}
    assert files(path) == [damaged.with_name(f"{damaged.name}.unread")]
    assert "5 lines of intents cannot be read" in caplog.text
    assert verify(path) == []


def test_any_number_of_files_is_taken_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_BYTES", 4_000)
    for number in range(60):
        leave(path, intent(f"r{number}"))
    before, lowest = resource.getrlimit(resource.RLIMIT_NOFILE), os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 20, before[1]))
    try:
        hold(path).close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (files(path), len(rows_in(path))) == ([], 60)


def test_files_that_go_meanwhile_hinder_nobody(path: Path) -> None:
    first, second = sorted([leave(path, FULL), leave(path, FULL)])
    with closing(left_behind(path)) as found:
        next(found)
        second.unlink()  # by a process that has made rows of it
        assert list(found) == []
    assert not first.exists()


@pytest.mark.parametrize("is_over", [False, True])
def test_a_file_that_is_taken_for_one_left_behind_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_over: bool
) -> None:
    made, found = os.open, left_behind(path)

    def opened(name: Path, *how: int) -> int:
        descriptor = made(name, *how)
        monkeypatch.setattr(os, "open", made)
        next(found)  # somebody looks when there is a file, and not yet a lock
        if is_over:
            assert list(found) == []
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(FileNotFoundError if is_over else BlockingIOError):
        IntentFile(path)
    found.close()
    assert files(path) == []


async def test_what_a_rating_has_made_a_row_of_moves_without_a_word(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    assert await ledger.rate(rating("a")) == "a"
    assert ledger._journal is not None
    ledger._journal.rotate()
    async with asyncio.timeout(5):
        while files(path):
            await asyncio.sleep(0.01)
    ledger.settle(record("a"))
    await ledger.aclose()
    assert (rows_in(path), caplog.text) == ({"a": "answered"}, "")
    assert verify(path) == []


async def rotated_while_refused(path: Path) -> LedgerWriter:
    """Return a writer whose file is full of two requests, one of them ended, and whose ledger takes nothing."""
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for name in "ab":
        await ledger.open(intent(name))
    by_hand(ledger).execute("PRAGMA query_only=ON")
    ledger.settle(record("a"))
    assert ledger._journal is not None
    ledger._journal.rotate()
    await until_refused(ledger)
    return ledger


async def test_no_file_goes_while_only_newer_intents_are_written(path: Path) -> None:
    ledger = await rotated_while_refused(path)
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    await ledger.open(intent("c"))
    await asyncio.sleep(0.05)
    assert {*rows_in(path), *[each.id for each in journalled(path)]} == set("abc")
    await ledger.aclose()
    assert rows_in(path) == {"a": "answered", "b": None, "c": None}


async def test_a_request_that_ends_soon_is_written_once_and_its_file_is_removed_at_the_end(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    statements: list[str] = []
    by_hand(ledger).set_trace_callback(statements.append)
    for name in "ab":
        await ledger.open(intent(name))
    ledger.settle(record("a"))
    await ledger.rate(rating("a"))
    assert rows_in(path) == {"a": "answered"}
    assert not [each for each in statements if each.startswith("UPDATE requests")]
    assert len(files(path)) == 1
    await ledger.aclose()
    assert (rows_in(path), files(path)) == ({"a": "answered", "b": None}, [])
    assert verify(path) == []


async def test_what_is_open_for_long_becomes_a_row_and_ends_as_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONG", 0.05)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    async with asyncio.timeout(5):
        while rows_in(path) != {"a": None}:
            await asyncio.sleep(0.01)
        while files(path):
            await asyncio.sleep(0.01)
    ledger.settle(record("a"))
    await ledger.aclose()
    assert rows_in(path) == {"a": "answered"}
    assert verify(path) == []


async def test_a_full_file_gives_way_to_another_and_goes_when_all_of_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_BYTES", 4_000)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number in range(60):
        await ledger.open(intent(f"r{number:02d}"))
        if number % 3:
            ledger.settle(record(f"r{number:02d}"))
    async with asyncio.timeout(5):
        while len(files(path)) > 1:
            await asyncio.sleep(0.01)
    assert {row["id"] for row in iter_requests(path)} == {f"r{number:02d}" for number in range(60)}
    await ledger.aclose()
    assert sorted(map(str, rows_in(path).values())) == ["None"] * 20 + ["answered"] * 40
    assert verify(path) == []


async def test_no_file_goes_before_its_requests_are_written(path: Path) -> None:
    ledger = await rotated_while_refused(path)
    await asyncio.sleep(0.7)  # it was tried again
    assert {each.id for each in journalled(path)} == {"a", "b"}
    by_hand(ledger).execute("PRAGMA query_only=OFF")
    async with asyncio.timeout(5):
        while files(path):
            await asyncio.sleep(0.02)
    assert rows_in(path) == {"a": "answered", "b": None}
    await ledger.aclose()


async def test_a_request_whose_end_is_refused_for_good_keeps_a_row_that_is_open(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.settle(record("a", cost=1 << 70))
    async with asyncio.timeout(5):
        while rows_in(path) != {"a": None}:
            await asyncio.sleep(0.02)
    await ledger.aclose()
    hold(path).close()
    assert rows_in(path) == {"a": "interrupted"}


async def test_a_file_that_somebody_removes_is_replaced_and_its_requests_become_rows(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for name in "ab":
        await ledger.open(intent(name))
    files(path)[0].unlink()
    ledger.settle(record("a"))
    async with asyncio.timeout(5):
        while rows_in(path) != {"a": "answered", "b": None}:
            await asyncio.sleep(0.01)
    await ledger.open(intent("c"))
    assert [each.id for each in journalled(path)] == ["c"]
    await ledger.aclose()


async def test_what_no_line_can_hold_is_a_row_or_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_BYTES", 4_096)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    await ledger.open(replace(intent("b"), inputs="x" * 5_000))
    assert rows_in(path)["b"] is None
    with pytest.raises(Unavailable, match="cannot be written"):
        await ledger.open(replace(intent("c"), model="\ud800"))
    await ledger.open(intent("d"))
    assert "d" in {each.id for each in journalled(path)}
    for name in "abd":
        ledger.settle(record(name))
    await ledger.aclose()
    assert rows_in(path) == dict.fromkeys("abd", "answered")
    assert verify(path) == []


async def test_where_no_file_can_be_made_intents_are_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN", 0.05)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())

    def refuse(descriptor: int, begin: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device", (descriptor, begin, size))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    for name in "ab":
        await ledger.open(intent(name))
        assert rows_in(path)[name] is None
    assert files(path) == []
    monkeypatch.undo()
    await asyncio.sleep(0.1)
    await ledger.open(intent("c"))
    assert (rows_in(path), [each.id for each in journalled(path)]) == ({"a": None, "b": None}, ["c"])
    await ledger.aclose()


async def test_what_is_said_of_an_open_request_finds_it(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for name in "abcd":
        await ledger.open(replace(intent(name), caller_id=f"theirs-{name}"))
    ledger.shadow("a", shadow())
    assert await ledger.rate(rating("theirs-b")) == "b"
    assert await ledger.signal(Signal("c", "acme", 1.0, "retry", 1.0, "app")) == "c"
    assert await ledger.rate(rating("d", "somebody-else")) is None
    assert await ledger.rate(rating("")) is None
    for name in "abcd":
        ledger.settle(record(name))
    await ledger.aclose()
    assert rows_in(path) == dict.fromkeys("abcd", "answered")
    (first, *_) = iter_requests(path)
    assert [attempt["kind"] for attempt in first["attempts"]] == ["primary", "shadow"]
    assert verify(path) == []


async def test_another_process_finds_what_this_one_has_written_down(path: Path) -> None:
    loop = asyncio.get_running_loop()
    with hold(path):
        one, other = (LedgerWriter(path, loop=loop, is_held=True) for _ in range(2))
        await one.open(intent("a"))
        assert await other.rate(rating("a")) == "a"
        one.settle(record("a"))
        await one.aclose()
        await other.aclose()
    assert rows_in(path) == {"a": "answered"}
    assert verify(path) == []


async def test_readers_see_what_is_open(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    name, now = new_id(), time.time()
    await ledger.open(replace(FULL, id=name, started=now))
    await ledger.open(replace(intent("z"), started=now))
    window = Window(start=now // 60 * 60 - 60, width=60.0, buckets=3, now=now)

    def seen() -> tuple[object, ...]:
        said = read_window(path, window, latest=5)
        found = find_request(path, "theirs", "acme")
        assert found is not None
        assert found.pop("attempts") == []
        return (
            sum(total.requests for total in said.totals if total.outcome is None),
            said.latest,
            found,
            find_request(path, name, "somebody-else"),
            list(iter_requests(path)),
            list(iter_requests(path, until=now)),
            read_spending(path, {"acme": now - 1}),
        )

    before = seen()
    await as_rows(ledger)
    assert seen() == before
    assert before[0] == 2
    assert before[-1] == {"acme": {maker_of(name): 7}}
    await ledger.aclose()
    with reading(path) as opened:
        assert list(opened.rows("SELECT * FROM requests ORDER BY id DESC LIMIT 1")) == [
            open_row(replace(intent("z"), started=now))
        ]


def test_a_ledger_that_is_not_there_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        find_request(tmp_path / "no" / "l.db", "a", "acme")


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from router.endpoints.wire import new_id
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import intent, record
async def main():
    ledger = LedgerWriter(Path(sys.argv[1]), loop=asyncio.get_running_loop(), is_held=True)
    for number in range(50):
        name = new_id()
        await ledger.open(intent(name))
        print(name, flush=True)
        if number % 2:
            ledger.settle(record(name))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_a_killed_worker_had_open_is_interrupted_while_the_others_go_on(path: Path) -> None:
    since = time.time() - 60
    with hold(path):
        other = LedgerWriter(path, loop=asyncio.get_running_loop(), is_held=True)
        await other.open(intent("mine"))
        names = acknowledged_by(_KILLED, path)
        assert len(names) == 50
        assert len(files(path)) == 2
        assert interrupt(path, maker_of(names[0]), since=since) >= 25
        assert interrupt(path, maker_of(names[0]), since=since) == 0
        assert (len(files(path)), [each.id for each in journalled(path)]) == (1, ["mine"])
        other.settle(record("mine"))
        await other.aclose()
    found = rows_in(path)
    assert set(found) == {*names, "mine"}
    assert set(found.values()) == {"answered", "interrupted"}
    assert found["mine"] == "answered"
    assert verify(path) == []
