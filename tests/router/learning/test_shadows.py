"""Tests router/learning/shadows.py in a whole gateway, and router/learning/opening.py."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from backends.base import Broken, ConnectFailed
from classifier.base import Prompt
from router.base import Tier
from router.learning import shadows
from router.ledger.labels import RatedLabel, iter_labels
from tests.router.conftest import House, OpenHouse, Row, Served, chat
from tests.router.scripted import COMPLETION
from tests.router.verifying import BETWEEN, CHAT, ScriptedVerifier

OTHER = COMPLETION.replace(b"hello", b"goodbye")
TO_MINI = {"use": "threshold", "threshold": 1.0}
TO_LARGE = {"use": "threshold", "threshold": 0.0}
ALWAYS = {"shadow": 1.0, "shadow_large": 1.0}


async def until(happened: Callable[[], object]) -> None:
    """Wait, for at most some seconds, until something is so."""
    for _ in range(500):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def labels_of(house: House) -> list[RatedLabel]:
    return list(iter_labels(house.ledger))


def has_labels(house: House, count: int) -> bool:
    return len(labels_of(house)) == count


def shadows_of(row: Row) -> list[Row]:
    attempts = row["attempts"]
    assert isinstance(attempts, list)
    return [attempt for attempt in attempts if attempt["kind"] == "shadow"]


async def figures(house: House) -> Counter[str]:
    """Return what became of sampled requests, as /metrics tells it."""
    text = (await house.client.get("/metrics")).text
    found = re.findall(r'tandem_shadow_calls_total{result="(\w+)"} (\d+)', text)
    return Counter({name: int(count) for name, count in found})


@pytest.mark.parametrize("stream", [False, True])
async def test_a_sampled_answer_of_mini_is_compared_with_large_s(stream: bool, open_house: OpenHouse) -> None:  # noqa: FBT001
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        answer = await house.client.post(CHAT, json=chat(stream=stream, seed=3))
        assert answer.headers["x-tandem-tier"] == "mini"
        await until(lambda: labels_of(house))
        (call,) = house.large.calls
        said = (await house.client.get("/metrics")).text
    assert (call.stream, call.request_id) == (False, f"{house.rows()[0]['id']}-shadow")
    assert msgspec.json.decode(call.body) == {**chat(seed=3), "model": "big"}
    ((label, rating),) = [(each.label, each.rating) for each in labels_of(house)]
    assert (label.strong_score, label.weak_score, label.grader, rating) == (1.0, 1.0, "agreement@1", None)
    assert (label.answered, label.propensity, label.threshold, label.tenant) == (Tier.MINI, 1.0, 1.0, "default")
    assert label.scorer.startswith("rules@")
    assert label.prompt is not None
    assert msgspec.json.decode(label.prompt, type=Prompt).turns[0].text == "hello"
    (row,) = house.rows()
    (shadow,) = shadows_of(row)
    assert (shadow["tier"], shadow["model"], shadow["error"], shadow["output"]) == ("large", "big", "", 4)
    assert row["baseline"] == shadow["cost"]  # of the same tokens, and no part of what the request cost
    assert row["cost"] == row["baseline"] // 10  # type: ignore[operator]
    assert f'tandem_learning_cost_nano_usd_total{{tier="large"}} {shadow["cost"]}.0' in said
    assert 'tandem_cost_nano_usd_total{tier="large"}' not in said


async def test_where_mini_says_something_else_it_is_wrong(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        house.large.completion = OTHER
        await house.client.post(CHAT, json=chat())
        await until(lambda: labels_of(house))
    (rated,) = labels_of(house)
    assert (rated.label.strong_score, rated.label.weak_score) == (1.0, 0.0)


async def test_large_s_answers_are_compared_with_what_mini_would_have_said(open_house: OpenHouse) -> None:
    async with open_house(learning={"shadow_large": 0.999_999}, policy=TO_LARGE) as house:
        house.mini.completion = OTHER
        await house.client.post(CHAT, json=chat())
        await until(lambda: labels_of(house))
    (rated,) = labels_of(house)
    assert (rated.label.answered, rated.label.strong_score, rated.label.weak_score) == (Tier.LARGE, 1.0, 0.0)
    assert rated.label.propensity == 0.999_999


async def test_an_escalated_request_is_sampled_as_all_that_mini_was_chosen_for(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: ScriptedVerifier(p=1.0))
    async with open_house(learning={"shadow": 1.0}, policy=BETWEEN) as house:
        house.large.completion = OTHER
        answer = await house.client.post(CHAT, json=chat())
        assert answer.content == OTHER
        await until(lambda: labels_of(house))
    (rated,) = labels_of(house)
    assert (rated.label.answered, rated.label.weak_score) == (Tier.LARGE, 0.0)
    assert [shadow["tier"] for shadow in shadows_of(house.rows()[0])] == ["mini"]


@pytest.mark.parametrize(
    ("learning", "body"),
    [
        ({}, chat()),
        ({"shadow_large": 1.0}, chat()),
        (ALWAYS, chat(model="mini")),
        (ALWAYS, chat(model="large")),
    ],
    ids=["off", "the other tier", "asked for mini", "asked for large"],
)
async def test_nothing_else_is_sampled(learning: object, body: object, open_house: OpenHouse) -> None:
    async with open_house(learning=learning, policy=TO_MINI) as house:
        await house.client.post(CHAT, json=body)
        await asyncio.sleep(0.05)
        assert len(house.mini.calls) + len(house.large.calls) == 1
    assert labels_of(house) == []


async def test_without_a_score_and_from_the_cache_nothing_is_sampled(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, classifier={"use": "off"}) as house:
        await house.client.post(CHAT, json=chat())
        await asyncio.sleep(0.05)
        assert not house.mini.calls
    async with open_house(learning=ALWAYS, policy=TO_MINI, cache={"enabled": True}) as house:
        for _ in range(3):
            await house.client.post(CHAT, json=chat(temperature=0))
        await until(lambda: labels_of(house))
        assert (len(house.mini.calls), len(house.large.calls)) == (1, 1)


async def test_an_answer_of_a_tier_that_only_stood_in_is_not_sampled(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        house.mini.failures.append(ConnectFailed("refused"))
        answer = await house.client.post(CHAT, json=chat())
        assert answer.headers["x-tandem-tier"] == "large"
        await asyncio.sleep(0.05)
        assert (len(house.mini.calls), len(house.large.calls)) == (1, 1)
    assert labels_of(house) == []


async def test_the_share_is_kept_and_chance_alone_decides(open_house: OpenHouse) -> None:
    sampled = list[list[bool]]()
    for text in ("hello", "prove that there are infinitely many primes"):
        async with open_house(
            learning={"shadow": 0.3, "seed": 7, "max_per_minute": 1_000, "concurrency": 100}, policy=TO_MINI
        ) as house:
            for _ in range(200):
                await house.client.post(CHAT, json=chat(text))
            await asyncio.sleep(0.1)
            assert sum((await figures(house)).values()) == len(house.large.calls)
        sampled.append([bool(shadows_of(row)) for row in house.rows()][-200:])
    assert sampled[0] == sampled[1]  # equal draws, whatever the text and its score
    assert 40 <= sum(sampled[0]) <= 80  # 60 expected; 3 standard deviations


async def test_a_caller_never_waits_for_a_shadow_and_a_stop_ends_it(serve_house: Served) -> None:
    async with serve_house(learning=ALWAYS, policy=TO_MINI) as house:
        house.large.completion_hangs = True
        for stream in (False, True):
            answer = await asyncio.wait_for(house.client.post(CHAT, json=chat(stream=stream)), 3)
            assert answer.status_code == 200
        await until(lambda: len(house.large.calls) == 2)
        begin = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begin < 3
    assert house.large.closed_early == 2
    for row in house.rows():
        (shadow,) = shadows_of(row)
        assert (row["outcome"], shadow["error"], shadow["cost"]) == ("answered", "CancelledError", None)
        assert row["cost"] is not None


async def test_a_shadow_that_fails_is_in_the_ledger_and_gives_no_label(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        for failure in (ConnectFailed("refused"), Broken("garbled")):
            house.large.failures.append(failure)
            assert (await house.client.post(CHAT, json=chat())).status_code == 200
            await until(lambda: not house.large.failures)
        house.large.completion = COMPLETION.replace(b'"stop"', b"null")
        await house.client.post(CHAT, json=chat())
        house.large.completion = b""
        await house.client.post(CHAT, json=chat())
        await asyncio.sleep(0.1)
        assert await figures(house) == {"failed": 4}
    found = [(shadow["error"], shadow["cost"]) for row in house.rows() for shadow in shadows_of(row)]
    assert found == [("ConnectFailed", 0), ("Broken", None), ("Broken", None), ("Broken", None)]
    assert labels_of(house) == []


async def test_a_shadow_that_takes_too_long_is_given_up(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI, server={"request_timeout": 0.2}) as house:
        house.large.completion_hangs = True
        await house.client.post(CHAT, json=chat())
        await until(lambda: house.large.closed_early)
    ((shadow,),) = [shadows_of(row) for row in house.rows()]
    assert shadow["error"] == "DeadlineExceeded"


async def test_what_cannot_be_compared_is_kept_without_a_grade(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        house.large.completion = COMPLETION.replace(b'"content":"hello"', b'"content":null,"tool_calls":[{"id":"t"}]')
        await house.client.post(CHAT, json=chat())
        house.large.completion = COMPLETION.replace(b'"hello"', b'["a shape of tomorrow"]')
        await house.client.post(CHAT, json=chat())
        await until(lambda: len(labels_of(house)) == 2)
        assert await figures(house) == {"ungraded": 2}
    for rated in labels_of(house):
        assert (rated.label.strong_score, rated.label.weak_score, rated.label.grader) == (None, None, "")


async def test_more_than_may_run_at_once_is_dropped_and_counted(open_house: OpenHouse) -> None:
    async with open_house(learning={**ALWAYS, "concurrency": 2}, policy=TO_MINI) as house:
        house.large.completion_hangs = True
        for _ in range(5):
            await house.client.post(CHAT, json=chat())
        await until(lambda: len(house.large.calls) == 2)
        assert await figures(house) == {"busy": 3}
    async with open_house(learning={**ALWAYS, "max_per_minute": 2}, policy=TO_MINI) as house:
        for count in range(5):
            await house.client.post(CHAT, json=chat())
            await until(partial(has_labels, house, min(count + 1, 2)))
        assert await figures(house) == {"graded": 2, "over_rate": 3}


async def test_text_is_kept_only_where_it_may_be(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(learning={**ALWAYS, "keep_text": False}, policy=TO_MINI) as house:
        await house.client.post(CHAT, json=chat("CANARY"))
        await until(lambda: labels_of(house))
    assert labels_of(house)[0].label.prompt is None
    assert b"CANARY" not in b"".join(path.read_bytes() for path in house.ledger.parent.glob("ledger.db*"))
    monkeypatch.setattr(shadows, "LONGEST_PROMPT", 10)
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        await house.client.post(CHAT, json=chat())
        await until(lambda: len(labels_of(house)) == 2)
    assert [rated.label.prompt for rated in labels_of(house)] == [None, None]


async def test_old_text_is_erased_when_the_gateway_starts(open_house: OpenHouse) -> None:
    async with open_house(learning=ALWAYS, policy=TO_MINI) as house:
        await house.client.post(CHAT, json=chat("CANARY"))
        await until(lambda: labels_of(house))
    assert labels_of(house)[0].label.prompt is not None
    await asyncio.sleep(0.1)
    async with open_house(learning={"retention_days": 1e-6}) as house:  # also where nothing is sampled any more
        await until(lambda: labels_of(house)[0].label.prompt is None)
    assert labels_of(house)[0].label.weak_score == 1.0
    assert b"CANARY" not in b"".join(path.read_bytes() for path in house.ledger.parent.glob("ledger.db*"))


@pytest.mark.parametrize("stream", [True, False])
async def test_who_hangs_up_is_recorded_once_and_not_shadowed(stream: bool, serve_house: Served) -> None:  # noqa: FBT001
    async with serve_house(learning={**ALWAYS, "concurrency": 100, "max_per_minute": 1_000}, policy=TO_MINI) as house:
        for number in range(20):
            house.mini.hangs, house.mini.completion_hangs = number % 2 == 0, number % 2 == 0
            before = len(house.mini.calls)
            asking = asyncio.create_task(house.client.post(CHAT, json=chat(stream=stream)))
            await until(lambda seen=before: len(house.mini.calls) > seen)  # type: ignore[misc]
            await asyncio.sleep(0.002 * number)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.2)
    rows = house.rows()
    assert len(rows) == 20
    assert {row["outcome"] for row in rows} == {"answered", "hung_up"}
    for row in rows:
        assert len(shadows_of(row)) == (row["outcome"] == "answered")


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import httpx2
from router.app import Tandem
from tests.router.conftest import chat, config_of
from tests.router.scripted import SCRIPTS

async def main():
    app = Tandem(config_of(Path(sys.argv[1]), learning={"shadow": 1.0}, policy={"use": "threshold", "threshold": 1.0}))
    async with app.running(), httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as client:
        for number in range(40):
            SCRIPTS["large"].completion_hangs = number % 4 == 3
            await client.post("/v1/chat/completions", json=chat(stream=number % 2 == 0))
            await asyncio.sleep(0.01 if number < 39 else 0.1)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_of_shadows_loses_and_doubles_nothing(tmp_path: Path, open_house: OpenHouse) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    async with open_house() as house:  # the next start
        pass
    rows = house.rows()
    assert len(rows) == 40
    assert {row["outcome"] for row in rows} == {"answered"}
    assert {len(row["attempts"]) for row in rows} <= {1, 2}  # type: ignore[arg-type]
    ended = Counter(shadow["error"] for row in rows for shadow in shadows_of(row))
    assert ended["Interrupted"] == 4  # begun, cost unknown
    graded = {rated.label.id for rated in labels_of(house)}
    assert graded == {row["id"] for row in rows if [shadow["error"] for shadow in shadows_of(row)] == [""]}
