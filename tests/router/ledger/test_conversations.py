"""Tests router/ledger/conversations.py and router/ledger/reply_counts.py on both engines, as the gateway writes."""

import asyncio
from dataclasses import replace

import pytest

from backends.base import Usage
from classifier.base import Score
from router.base import Assessment, Attempt, Decision, Intent, Outcome, Rating, Record, Signal, Tier
from router.ledger.conversations import Conversation, Happening, iter_conversations
from router.ledger.place import LedgerPlace, reading
from router.ledger.reply_counts import Compared, Counts, Group, Told, iter_compared, read_counts
from router.ledger.writer import LedgerWriter

DAY = 1_767_225_600.0  # 2026-01-01T00:00Z


async def ask(
    ledger: LedgerWriter, name: str, at: float, *, score: float | None = 0.7, talk: str = "c1", key: str = ""
) -> None:
    scored = None if score is None else Score(score, "linear@1")
    decision = Decision(Tier.MINI, "score", scored, 0.9, "p@1", arm="b", experiment="e")
    attempt = Attempt("primary", Tier.MINI, "small", "h:1", Usage(10, None, 2), 5, "v")
    await ledger.open(
        Intent(
            name,
            "",
            "acme",
            "auto",
            stream=False,
            started=DAY + at,
            decision=decision,
            conversation=talk,
            unit=talk,
            reply_key=key,
        )
    )
    ledger.settle(Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 50))


def assessment(name: str, **more: object) -> Assessment:
    plain = Assessment(name, DAY, Tier.MINI, "stop", 40, 0.1, 1.5, *(False,) * 4)
    return replace(plain, **more)  # type: ignore[arg-type]  # by name


async def tell(ledger: LedgerWriter, name: str, kind: str, value: float, at: float, *, source: str = "user") -> None:
    assert await ledger.signal(Signal(name, "acme", DAY + at, kind, value, source)) == name


@pytest.fixture
async def filled(place: LedgerPlace) -> LedgerPlace:
    """A ledger of two conversations: one that asks the same again and is passed on, and a short one."""
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ask(ledger, "r1", 0, score=None)
    await ask(ledger, "r2", 60, score=0.75, key="same")
    await ask(ledger, "r3", 120, score=0.75, key="same")
    await ask(ledger, "r4", 5_000, score=0.75, key="same")
    await ask(ledger, "r5", 200, score=0.75, key="other")
    await ask(ledger, "r6", 90, score=0.2, talk="c2")
    await ask(ledger, "r7", 95, score=0.2, talk="")
    ledger.assess(assessment("r1", is_repetitive=True, is_empty=True, repetition_written=True))
    ledger.assess(
        assessment("r2", is_repetitive=True, repetition_written=False, checks=2, failed_checks=1, logprob=-0.5)
    )
    ledger.assess(assessment("r3", finish="", is_truncated=True, is_refusal=True, agreement=0.5, judge="j@1"))
    await tell(ledger, "r3", "escalate", 1.0, 300)
    for value in (1.0, 0.0):
        await tell(ledger, "r2", "thumb", value, 400)
    await tell(ledger, "r3", "label", 1.0, 500, source="human")
    await ledger.rate(Rating("r6", "acme", DAY, 0.5, None))
    await ledger.aclose()
    return place


async def test_a_conversation_is_what_its_beginning_was(filled: LedgerPlace) -> None:
    with reading(filled) as opened:
        one, other = iter_conversations(opened, since=DAY, until=DAY + 1e6)
        assert [each.key for each in iter_conversations(opened, since=DAY + 50, until=DAY + 1e6)] == ["c2"]
        assert list(iter_conversations(opened, since=DAY, until=DAY + 1e6, tenant="rival")) == []
        assert len(list(iter_conversations(opened, since=float("-inf"), until=float("inf"), tenant="acme"))) == 2
    assert one == Conversation(
        tenant="acme",
        key="c1",
        experiment="e",
        arm="b",
        score=0.75,
        began=DAY,
        latest=DAY + 5_000,
        requests=5,
        starts=tuple(DAY + at for at in (0, 60, 120, 200, 5_000)),
        happenings=(Happening("escalate", DAY + 300, 1.0),),
    )
    assert (other.key, other.score, other.happenings) == ("c2", 0.2, ())


async def test_replies_are_counted_with_what_was_told_of_them(filled: LedgerPlace) -> None:
    with reading(filled) as opened:
        found = read_counts(opened, since=DAY, asked_again_within=600.0)
        compared = list(iter_compared(opened, since=DAY))
    group = Group("mini", "e", "b")
    assert list(found) == [group]
    counts = found[group]
    told = sorted(counts.told, key=lambda each: each.kind)
    counts.told = []
    assert counts == Counts(
        answered=7,
        assessed=3,
        empty=1,
        repetitive=1,
        truncated=1,
        incomplete=1,
        refusal=1,
        checked=1,
        failed_checks=1,
        thresholded=1,  # r3 was looked at before there was such a flag
        known=4,  # r1, r6 and r7 have no reply key
        again=1,  # r2 by r3; r4 came too late, r5 asked something else, though score and tokens are the same
        logprobs={"c1": (1, -0.5)},
    )
    assert told == [
        Told("escalate", "user", 1, 1.0, 0),
        Told("label", "human", 1, 1.0, 0),
        Told("rating", "user", 1, 0.5, 0),
        Told("thumb", "user", 1, 0.0, 1),
    ]
    assert compared == [Compared("r3", group, "c1", 0.5, "j@1", 1.0)]
