"""Tests of router/stored/first_answers.py and router/stored/owners.py: claims of the living and of the dead."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from router.base import Unavailable
from router.stored import first_answers
from router.stored.first_answers import KEPT_FOR, Claim, Claimed, FirstAnswer, FirstAnswers

ROOT = Path(__file__).parents[3]
NAME, DIGEST = b"n" * 32, b"d" * 32
ANSWER = FirstAnswer(200, ((b"content-type", b"text/event-stream"), (b"x-odd", b"\xff")), b"data: \x00\n\n", whole=True)
CLAIMS_AND_HANGS = """
import asyncio, sys
from pathlib import Path
from router.stored.first_answers import FirstAnswer, FirstAnswers
async def main():
    answers = FirstAnswers(Path(sys.argv[1]))
    await answers.claim(b"kept", b"d" * 32)
    await answers.keep(b"kept", FirstAnswer(200, (), b"whole", True))
    print((await answers.claim(b"n" * 32, b"d" * 32)).found.value, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def opened(path: Path, **more: object) -> AsyncGenerator[FirstAnswers]:
    answers = FirstAnswers(path, **more)  # type: ignore[arg-type]
    try:
        yield answers
    finally:
        await answers.aclose()


def locks(folder: Path) -> list[Path]:
    """Return the files by which processes show that they live."""
    return [*folder.glob("*.alive"), *folder.glob("*.new")]


async def test_the_first_claim_is_new_and_the_next_finds_it_running_until_it_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as answers:
        assert await answers.claim(NAME, DIGEST) == Claim(Claimed.NEW)
        assert await answers.claim(NAME, DIGEST) == Claim(Claimed.RUNNING)
        assert await answers.claim(NAME, b"other") == Claim(Claimed.REUSED)
        await answers.keep(NAME, ANSWER)
        assert await answers.claim(NAME, DIGEST) == Claim(Claimed.KEPT, ANSWER)
        assert await answers.claim(NAME, b"other") == Claim(Claimed.REUSED)
        assert await answers.claim(b"another", DIGEST) == Claim(Claimed.NEW)


async def test_of_many_claims_at_once_one_is_new_whoever_makes_them(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "a.db") as other:
        claims = await asyncio.gather(*(each.claim(NAME, DIGEST) for each in (one, other) * 50))
        assert [claim.found for claim in claims].count(Claimed.NEW) == 1
        assert {claim.found for claim in claims} == {Claimed.NEW, Claimed.RUNNING}


async def test_a_released_claim_is_free_and_a_kept_answer_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as answers:
        await answers.claim(NAME, DIGEST)
        answers.release(NAME)
        assert (await answers.claim(NAME, b"other")).found is Claimed.NEW
        await answers.keep(NAME, ANSWER)
        answers.release(NAME)
        assert (await answers.claim(NAME, b"other")).answer == ANSWER


async def test_answers_outlive_the_process_and_claims_do_not(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as answers:
        await answers.claim(NAME, DIGEST)
        await answers.keep(NAME, ANSWER)
        await answers.claim(b"left", DIGEST)
    async with opened(tmp_path / "a.db") as answers:
        assert (await answers.claim(NAME, DIGEST)).answer == ANSWER
        assert (await answers.claim(b"left", DIGEST)).found is Claimed.NEW
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


async def test_a_killed_processes_claim_is_released_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLAIMS_AND_HANGS, str(path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert child.stdout
    assert (await child.stdout.readline()).strip() == b"new"
    async with opened(path) as answers:
        assert (await answers.claim(NAME, DIGEST)).found is Claimed.RUNNING
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        assert (await answers.claim(NAME, b"whatever comes now")).found is Claimed.NEW
        assert (await answers.claim(b"kept", DIGEST)).answer == FirstAnswer(200, (), b"whole", whole=True)
        await answers.keep(NAME, ANSWER)
    child._transport.close()  # type: ignore[attr-defined]  # its pipe
    assert not locks(tmp_path)


async def test_a_late_answer_of_somebody_who_was_held_for_dead_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as one, opened(path) as other:
        await one.claim(NAME, DIGEST)
        next(each for each in locks(tmp_path) if one._owner.name in each.name).unlink()
        assert (await other.claim(NAME, DIGEST)).found is Claimed.NEW
        await one.keep(NAME, ANSWER)
        one.release(NAME)
        assert (await other.claim(NAME, DIGEST)).found is Claimed.RUNNING


async def test_answers_are_erased_after_a_day_from_the_file_too(tmp_path: Path) -> None:
    now, path = [1_000.0], tmp_path / "a.db"
    async with opened(path, clock=lambda: now[0]) as answers:
        await answers.claim(NAME, DIGEST)
        await answers.keep(NAME, FirstAnswer(200, (), b"canary", whole=True))
        now[0] += KEPT_FOR - 1
        assert (await answers.claim(NAME, DIGEST)).found is Claimed.KEPT
        now[0] += 2
        assert (await answers.claim(NAME, b"other")).found is Claimed.NEW
        await answers.claim(b"old", DIGEST)
        now[0] += KEPT_FOR + 1
        await answers._run(answers._erase)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    assert b"canary" not in path.read_bytes()


async def test_a_file_that_cannot_be_used_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(os.urandom(8_192))
    with pytest.raises(Unavailable, match="idempotency"):
        FirstAnswers(tmp_path / "a.db")
    async with opened(tmp_path / "b.db") as answers:
        answers._connection.execute("DROP TABLE answers")
        with pytest.raises(Unavailable):
            await answers.claim(NAME, DIGEST)
        answers.release(NAME)
        answers._connection.execute("CREATE TABLE answers (name, status, owner)")


def refuse(connection: sqlite3.Connection) -> None:
    """Have the file take no answers, as a full disk does, until the trigger is dropped."""
    connection.execute("CREATE TRIGGER full BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'full'); END")


async def test_an_answer_that_the_file_does_not_take_is_given_again_all_the_same_and_written_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_answers, "TRY_AGAIN", 0.02)
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as hand:
        async with opened(path) as answers:
            for name in (NAME, b"another"):
                assert (await answers.claim(name, DIGEST)).found is Claimed.NEW
            refuse(hand)
            for name in (NAME, b"another"):
                await answers.keep(name, ANSWER)
                assert await answers.claim(name, DIGEST) == Claim(Claimed.KEPT, ANSWER)
                assert await answers.claim(name, b"other") == Claim(Claimed.REUSED)
            await asyncio.sleep(0.06)
            unwritten = "SELECT count(*) FROM answers WHERE status IS NULL"
            assert hand.execute(unwritten).fetchone() == (2,)
            hand.execute("DROP TRIGGER full")
            async with asyncio.timeout(2):
                while hand.execute(unwritten).fetchone() != (0,):
                    await asyncio.sleep(0.01)
            assert await answers.claim(NAME, DIGEST) == Claim(Claimed.KEPT, ANSWER)
        async with opened(path) as answers:  # and by another process
            assert await answers.claim(b"another", DIGEST) == Claim(Claimed.KEPT, ANSWER)


async def test_no_more_is_held_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_answers, "MOST_HELD", 10)
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as hand:
        async with opened(tmp_path / "a.db") as answers:
            await answers.claim(NAME, DIGEST)
            refuse(hand)
            with pytest.raises(Unavailable):
                await answers.keep(NAME, FirstAnswer(200, (), b"more than ten bytes", whole=True))
            assert await answers.claim(NAME, DIGEST) == Claim(Claimed.RUNNING)
            hand.execute("DROP TRIGGER full")
