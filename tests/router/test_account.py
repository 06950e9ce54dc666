"""Tests router/account.py alone: what it hands over when it is opened, and when it is closed."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable
from typing import Any

import pytest
from msgspec import Raw, structs

from backends.base import Usage
from classifier.base import Prompt, Score, Turn
from router.account import Account, Books, Taken, attempt_of
from router.base import Assignment, Attempt, Decision, Intent, Needs, Outcome, Price, Record, Request, Tier
from router.guards.limits.base import Admitted, Allowance, Use
from router.ledger.usage_estimates import UsageEstimates
from router.metrics.counters import Metrics
from router.routes import Route
from tests.router.scripted import ScriptedBackend

REQUEST = Request(
    id="r1",
    caller_id="theirs",
    tenant="acme",
    path="/chat/completions",
    model="auto",
    wanted=None,
    prompt=Prompt(()),
    stream=True,
    wants_usage=False,
    fields={"messages": Raw(b"[]")},
    cacheable=True,
    received=0.0,
    deadline=0.0,
    user="user-digest",
    conversation="conversation-digest",
    assignment=Assignment("prices", "low", "unit-digest", 0.25),
)
DECISION = Decision(Tier.MINI, "score", Score(0.2, "s@1"), 0.5, "threshold@0.5/large")
ASKED = Attempt("classifier", Tier.MINI, "words", "", None, 7, "v")
PRICE = Price("small", "v9", 1_000_000, 100_000, 2_000_000)
ROUTE = Route(Tier.MINI, "small", ScriptedBackend("mini"), lambda: PRICE)


class Handed:
    """A ledger's side of an account: keeps what it is handed."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.records: list[Record] = []

    def open(self, intent: Intent) -> Awaitable[None]:
        self.intents.append(intent)
        return asyncio.sleep(0)

    def settle(self, record: Record) -> None:
        self.records.append(record)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an account asks a ledger for nothing else: {name}")


@pytest.fixture
def handed() -> Handed:
    return Handed()


def opened(handed: Handed) -> Account:
    """Return an account in which nothing is as it is by default."""
    use = Use("acme", Allowance(budget=1_000), Allowance(budget=1_000), in_flight=1, reserved=900)
    request = structs.replace(REQUEST, received=time.monotonic() - 5.0)
    taken = Taken(Admitted(use, tokens=3, reserved=900, deadline=0.0, ends=use.ends), spent=[ASKED], key=b"k" * 32)
    books = Books(handed, Metrics(), lambda *_: None, config="c0ffee")
    return Account(request, DECISION, books, taken, sampled=0.03, inputs='{"lean":1}')


async def test_an_intent_says_whose_it_is_what_was_decided_and_from_what(handed: Handed) -> None:
    await opened(handed).opened
    (intent,) = handed.intents
    assert intent.started == pytest.approx(time.time() - 5.0, abs=3.0)
    expected = {
        "id": "r1",
        "caller_id": "theirs",
        "tenant": "acme",
        "model": "auto",
        "stream": True,
        "decision": DECISION,
        "reserved": 900,
        "user": "user-digest",
        "conversation": "conversation-digest",
        "unit": "unit-digest",
        "sampled": 0.03,
        "inputs": '{"lean":1}',
        "config": "c0ffee",
        "reply_key": "6b" * 12,
    }
    assert {name: getattr(intent, name) for name in expected} == expected


async def test_a_record_says_how_it_ended_and_what_was_noted_on_the_way(handed: Handed) -> None:
    account = opened(handed)
    await account.opened
    account.first_byte()
    account.served(ROUTE, "mini:1", Usage(100, 10, 5))
    account.compare(PRICE, Usage(1, 0, 1))
    account.judged("kept", 0.125)
    account.cache, account.finish, account.overhead = "semantic", "length", 0.0625
    account.close(Outcome.BROKEN, status=502, error="StreamBroken")
    account.close(Outcome.ANSWERED, status=200)  # the first end counts
    (record,) = handed.records
    assert record.first_byte == pytest.approx(5.0, abs=3.0)
    assert record.duration >= 5.0
    usage = Usage(100, 10, 5)
    answer = Attempt("primary", Tier.MINI, "small", "mini:1", usage, 111_000, "v9", "", "provider", 9_000)
    expected = {
        "id": "r1",
        "outcome": Outcome.BROKEN,
        "status": 502,
        "attempts": (ASKED, answer),
        "baseline": 3_000,
        "error": "StreamBroken",
        "p_wrong": 0.125,
        "cache": "semantic",
        "overhead": 0.0625,
        "finish": "length",
        "intent": handed.intents[0],
        "cost": 111_007,
    }
    assert {name: getattr(record, name) for name in expected} == expected


async def test_what_was_held_is_given_back_once_with_what_it_cost(handed: Handed) -> None:
    account = opened(handed)
    await account.opened
    account.served(ROUTE, "mini:1", Usage(100, 10, 5))
    for _ in range(2):
        account.close(Outcome.ANSWERED, status=200)
    use = account._taken.admitted.use
    assert (use.spent, use.reserved, use.in_flight) == (111_007, 0, 0)


@pytest.mark.parametrize("media", [0, 2])
async def test_what_is_outlined_holds_no_text_and_is_estimated_and_learnt_from_as_before(
    handed: Handed, media: int
) -> None:
    promise = Raw(b'{"type":"json_object"}')
    asked = {"messages": Raw(b'[{"role":"user","content":"' + b"word " * 200 + b'"}]'), "response_format": promise}
    prompt, found = Prompt((Turn("user", "word " * 200),)), []
    for is_outlined in (False, True):
        account, estimates = opened(handed), UsageEstimates()
        await account.opened
        account._books = structs.replace(account._books, estimates=estimates)
        account.request = structs.replace(account.request, fields=asked, prompt=prompt, needs=Needs(media=media))
        if is_outlined:
            account.outline()
            assert (account.request.prompt.turns, dict(account.request.fields)) == ((), {"response_format": promise})
        account.cut("hedge_loser", ROUTE, "mini:2", output=3)
        untold = account.served(ROUTE, "mini:1", None, came=900)
        account.served(ROUTE, "mini:1", Usage(70, 0, 5), came=900)
        learnt = estimates.ratio_of("small", "prompt")
        found.append((account._attempts, untold.usage, None if learnt is None else learnt.value))
    assert found[0] == found[1]
    assert (found[0][2] is None) is bool(media)


@pytest.mark.parametrize(
    ("usage", "version", "nano"),
    [
        (Usage(10, None, 1, service_tier="flex"), "v9-flex", 7_000),
        (Usage(10, None, 1, service_tier="unheard-of"), "v9", None),
        (Usage(10, None, 1), "v9", 12_000),
        (None, "v9", None),
    ],
)
def test_an_attempt_names_the_row_of_the_book_that_it_is_charged_at(
    usage: Usage | None, version: str, nano: int | None
) -> None:
    flex = dataclasses.replace(PRICE, version="v9-flex", fresh_input=500_000, service_tier="flex")
    route = Route(Tier.MINI, "small", ScriptedBackend("mini"), lambda: dataclasses.replace(PRICE, variants=(flex,)))
    attempt = attempt_of("primary", route, "", usage, "")
    assert (attempt.price_version, attempt.cost) == (version, nano)
