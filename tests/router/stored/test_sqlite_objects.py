"""Tests router/stored/sqlite_objects.py, with the protocol in router/stored/base.py.

Also router/stored/objects_layout.py and router/stored/opening.py.
"""

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from router.base import Unavailable
from router.stored.base import StoredObject, StoreFull
from router.stored.opening import BUSY_TIMEOUT
from router.stored.sqlite_objects import MAX_OBJECT, SqliteObjects

KIND = "chat.completion"
DAY = 86_400.0
Open = Callable[..., AbstractAsyncContextManager[SqliteObjects]]


class _Clock:
    """Wall time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def kept(identifier: str = "one", **more: object) -> StoredObject:
    first = StoredObject("ada", KIND, identifier, 1_000_000.0, "auto", {}, b'[{"role":"user"}]', b'{"choices":[]}')
    return replace(first, **more)


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def open_store(tmp_path: Path, clock: _Clock) -> Open:
    """Return what opens a store on one file, however often."""

    @asynccontextmanager
    async def opened(**more: int) -> AsyncGenerator[SqliteObjects, None]:
        limits = {"max_per_tenant": 1 << 20, **more}
        store = SqliteObjects(tmp_path / "objects.db", retention=30 * DAY, clock=clock, **limits)
        try:
            yield store
        finally:
            await store.aclose()

    return opened


async def test_an_object_is_found_again_as_it_was_put(open_store: Open) -> None:
    whole = kept(metadata={"topic": 'a "b" \\ ü'}, asked=b"\xff\x00", body=b'{"a": 1.50}')
    async with open_store() as store:
        await store.put(whole)
        assert await store.get("ada", KIND, "one") == whole
    async with open_store() as store:
        assert await store.get("ada", KIND, "one") == whole


async def test_nobody_finds_or_deletes_what_another_tenant_has(open_store: Open) -> None:
    async with open_store() as store:
        await store.put(kept())
        await store.put(kept(tenant="bob", body=b"his"))
        assert await store.get("eve", KIND, "one") is None
        assert not await store.delete("eve", KIND, "one")
        assert await store.page("eve", KIND) == []
        assert await store.page("eve", KIND, after="one") == []
        assert await store.get("ada", "response", "one") is None
        assert await store.delete("bob", KIND, "one")
        assert await store.get("ada", KIND, "one") == kept()


async def test_a_second_object_of_one_id_takes_the_place_of_the_first(open_store: Open) -> None:
    async with open_store() as store:
        for identifier in ("one", "two"):
            await store.put(kept(identifier))
        await store.put(kept("one", metadata={"a": "b"}))
        found = await store.page("ada", KIND)
    assert [(each.id, each.metadata) for each in found] == [("one", {"a": "b"}), ("two", {})]


async def test_pages_follow_each_other_in_both_directions(open_store: Open) -> None:
    async with open_store() as store:
        for index in range(7):
            await store.put(kept(f"c{index}"))
        for newest_first, order in ((False, range(7)), (True, range(6, -1, -1))):
            seen, after = [], ""
            while page := await store.page("ada", KIND, after=after, limit=3, newest_first=newest_first):
                seen += [each.id for each in page]
                after = page[-1].id
            assert seen == [f"c{index}" for index in order]
        assert await store.page("ada", KIND, after="unknown") == []


async def test_a_list_is_narrowed_by_model_and_by_each_word_of_metadata(open_store: Open) -> None:
    odd = {'qu"ote': "back\\slash", "ünï": "☃", "": " "}
    async with open_store() as store:
        await store.put(kept("plain"))
        await store.put(kept("large", model="large"))
        await store.put(kept("odd", metadata=odd))
        await store.put(kept("half", metadata={"ünï": "☃"}))
        assert [each.id for each in await store.page("ada", KIND, model="large")] == ["large"]
        assert [each.id for each in await store.page("ada", KIND, metadata=odd)] == ["odd"]
        assert [each.id for each in await store.page("ada", KIND, metadata={"ünï": "☃"})] == ["odd", "half"]
        assert await store.page("ada", KIND, metadata={"ünï": "%"}) == []


async def test_a_page_of_large_objects_is_shorter_and_never_empty(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.stored.sqlite_objects.PAGE_BYTES", 250)
    async with open_store() as store:
        for index in range(3):
            await store.put(kept(f"c{index}", body=b"x" * 100))
        await store.put(kept("huge", body=b"x" * 1_000))
        assert [each.id for each in await store.page("ada", KIND)] == ["c0", "c1"]
        assert [each.id for each in await store.page("ada", KIND, after="c2")] == ["huge"]


async def test_what_would_be_over_a_limit_is_refused_and_nothing_is_lost(open_store: Open) -> None:
    async with open_store(max_per_tenant=1_000) as store:
        await store.put(kept("first", body=b"x" * 600))
        with pytest.raises(StoreFull, match="at most 1000 bytes are stored") as full:
            await store.put(kept("second", body=b"x" * 600))
        assert (full.value.status, full.value.code) == (507, "store_full")
        with pytest.raises(StoreFull, match="at most 1000 are stored"):
            await store.put(kept("third", body=b"x" * 1_001))
        await store.put(kept("bobs", tenant="bob", body=b"x" * 600))
        assert [each.id for each in await store.page("ada", KIND)] == ["first"]
        await store.put(kept("first", body=b"x" * 10))
        await store.put(kept("second", body=b"x" * 600))
        assert await store.delete("ada", KIND, "second")
        await store.put(kept("fourth", body=b"x" * 800))
    async with open_store(max_per_tenant=MAX_OBJECT * 2) as store:
        with pytest.raises(StoreFull, match=f"at most {MAX_OBJECT} are stored"):
            await store.put(kept("third", body=b"x" * MAX_OBJECT))


async def test_a_disk_that_stands_still_does_not_fill_memory(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.stored.sqlite_objects.MAX_WAITING", 1_000)
    async with open_store() as store:
        first, second = store.put(kept("first", body=b"x" * 600)), store.put(kept("second", body=b"x" * 600))
        with pytest.raises(Unavailable, match="too much waits"):
            await second
        await first
        await store.put(kept("second", body=b"x" * 600))


async def test_what_nobody_waited_for_is_found_all_the_same(open_store: Open) -> None:
    async with open_store() as store:
        store.put(kept())
        assert await store.get("ada", KIND, "one") == kept()
        store.put(kept("last"))
    async with open_store() as store:
        assert await store.get("ada", KIND, "last") == kept("last")


async def test_what_has_grown_old_is_gone_and_erased_from_the_files(
    open_store: Open, clock: _Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.stored.sqlite_objects.ERASE_EVERY", 0.01)
    monkeypatch.setattr("router.stored.sqlite_objects.ERASED", 2)
    async with open_store() as store:
        for index in range(5):
            await store.put(kept(f"old{index}", body=b"s3cret" * 30))
        await store.put(kept("deleted", created=clock.now + DAY, body=b"s3cret" * 30))
        await store.put(kept("young", created=clock.now + DAY))
        clock.now += 30 * DAY + 1
        assert await store.get("ada", KIND, "old1") is None
        assert not await store.delete("ada", KIND, "old1")
        assert [each.id for each in await store.page("ada", KIND)] == ["deleted", "young"]
        assert await store.delete("ada", KIND, "deleted")
        async with asyncio.timeout(5):
            while any(b"s3cret" in written for written in _files(tmp_path)):
                await asyncio.sleep(0.01)
        assert await store.get("ada", KIND, "young") is not None
    with sqlite3.connect(tmp_path / "objects.db") as connection:
        assert connection.execute("SELECT count(*), sum(size) FROM objects").fetchone() == (1, 33)
        assert connection.execute("SELECT bytes FROM held").fetchall() == [(33,)]


async def test_files_that_cannot_be_folded_leave_the_wait_for_locks_as_it_was(open_store: Open) -> None:
    async with open_store() as store:

        def fold_within_a_transaction() -> None:  # where it raises, as it does on a disk that fails
            store._holds_erased = True
            store._connection.execute("BEGIN IMMEDIATE")
            try:
                store._erase()
            finally:
                store._connection.execute("ROLLBACK")

        with pytest.raises(Unavailable):
            await store._run(fold_within_a_transaction)
        (left,) = await store._run(lambda: store._connection.execute("PRAGMA busy_timeout").fetchone())
        assert left == int(BUSY_TIMEOUT * 1_000)


def _files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


_WRITER = """
import asyncio, sys
from pathlib import Path
from router.stored.base import StoredObject
from router.stored.sqlite_objects import SqliteObjects

async def write():
    store = SqliteObjects(Path(sys.argv[1]), retention=1e10, max_per_tenant=1 << 30)
    for index in range(int(sys.argv[3])):
        await store.put(StoredObject("ada", "response", f"{sys.argv[2]}{index}", 1e6, "", {}, b"", b"x" * 500))
        print(index, flush=True)
    await asyncio.sleep(60)

asyncio.run(write())
"""


def _writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _WRITER, str(path), name, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


async def test_nothing_written_is_lost_when_writers_of_one_file_are_killed(tmp_path: Path, clock: _Clock) -> None:
    path, writers = tmp_path / "objects.db", []
    try:
        writers = [_writer(path, name, 10_000) for name in "ab"]
        for writer in writers:
            assert writer.stdout is not None
            for _ in range(50):
                await asyncio.to_thread(writer.stdout.readline)
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        said = [writer.communicate()[0].split() for writer in writers]
    store = SqliteObjects(path, retention=1e10, max_per_tenant=1 << 30, clock=clock)
    for name, rest in zip("ab", said, strict=True):
        last = int(rest[-1]) if rest else 49
        assert await store.get("ada", "response", f"{name}{last}") is not None
        assert await store.get("ada", "response", f"{name}0") is not None
    await store.aclose()


async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_bytes(b"something else" * 1_000)
    with pytest.raises(Unavailable, match="cannot be opened"):
        SqliteObjects(path, retention=1.0, max_per_tenant=1)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(Unavailable, match="layout is version 9"):
        SqliteObjects(path, retention=1.0, max_per_tenant=1)


async def test_a_file_that_others_hold_gives_an_error_and_not_a_stall(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.stored.sqlite_objects.BUSY_TIMEOUT", 0.05)
    async with open_store() as store:
        other = sqlite3.connect(tmp_path / "objects.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="cannot be read or written now"):
            await store.put(kept())
        other.execute("ROLLBACK")
        other.close()
        await store.put(kept())


async def test_only_its_owner_may_read_the_file(open_store: Open, tmp_path: Path) -> None:
    async with open_store() as store:
        await store.put(kept())
        assert _modes(tmp_path) == {0o600}


async def test_what_is_below_an_object_is_put_in_one_step_and_goes_with_it(open_store: Open) -> None:
    items = [kept(f"i{at}", kind="conversation/one") for at in range(3)]
    async with open_store(max_per_tenant=1_000) as store, open_store() as other:
        assert not await store.add("ada", "conversation", "one", items)
        await store.put(kept(kind="conversation"))
        assert not await store.add("eve", "conversation", "one", items)
        assert await other.add("ada", "conversation", "one", items[:2])
        with pytest.raises(StoreFull):
            await store.add("ada", "conversation", "one", [items[2], kept("large", asked=b"x" * 950)])
        assert await store.page("ada", "conversation/one") == items[:2]
        assert await store.delete("ada", "conversation", "one")
        assert await store.page("ada", "conversation/one") == []
        await store.put(kept(asked=b"x" * 900))  # there is room for it: nothing of the rest is counted any more


async def test_what_is_below_an_object_grows_old_with_it_and_from_the_last_time_on(
    open_store: Open, clock: _Clock
) -> None:
    async with open_store() as store:
        await store.put(kept(kind="conversation", created=clock.now))
        await store.add("ada", "conversation", "one", [kept("first", kind="conversation/one", created=clock.now)])
        clock.now += 29 * DAY
        await store.add("ada", "conversation", "one", [kept("second", kind="conversation/one", created=clock.now)])
        clock.now += 29 * DAY
        assert await store.get("ada", "conversation", "one") is not None
        assert [each.id for each in await store.page("ada", "conversation/one")] == ["first", "second"]
        clock.now += 2 * DAY
        assert await store.get("ada", "conversation", "one") is None
        assert not await store.add("ada", "conversation", "one", [])
        assert await store.page("ada", "conversation/one") == []


async def test_an_object_is_changed_where_it_is_there_and_by_a_little_where_there_is_no_room(open_store: Open) -> None:
    async with open_store(max_per_tenant=9_000) as store:
        assert not await store.change(kept())
        assert await store.get("ada", KIND, "one") is None
        await store.put(kept())
        await store.put(kept("rest", asked=b"x" * 8_900))
        ended = kept(body=b"y" * 200)
        assert await store.change(ended)
        assert await store.get("ada", KIND, "one") == ended
        with pytest.raises(StoreFull):
            await store.change(kept(body=b"y" * 8_000))
        assert await store.get("ada", KIND, "one") == ended
