"""Tests router/experiments in a whole gateway: what is begun beside it is taken, answered, kept apart and recorded.

router/arms.py, router/walks.py
"""

import asyncio
import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from router.experiments.folder import Folder
from router.experiments.standing import stopped
from router.ledger.labels import iter_labels
from router.ledger.place import reading
from tests.router.conftest import House, OpenHouse, Row, chat
from tests.router.experiments.files import plan_of

ARMS = """\
id: half
unit: user
arms:
  usual: {weight: 0.5}
  other: {weight: 0.5, ARM}
complex_from: 0.4
margin: 0.02
"""


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.experiments.running.LOOK_EVERY", 0.01)


def begin(folder: Path, arm: str, ramp: str = "1") -> Folder:
    place = Folder(folder / "ledger-experiments")
    place.start(plan_of(folder, ARMS.replace("ARM", arm)), now=time.time(), ramp=Decimal(ramp))
    return place


async def ask(house: House, user: str, text: str = "hello", **more: object) -> str:
    answer = await house.client.post("/v1/chat/completions", json=chat(text, user=user, **more))
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-tandem-cache", "")


async def until_taken(house: House) -> None:
    """Ask until somebody is in an arm."""
    async with asyncio.timeout(5):
        while not any(row["experiment"] for row in house.rows()):
            await ask(house, "first")
            await asyncio.sleep(0.05)


async def test_what_begins_beside_a_running_gateway_is_taken_and_recorded(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    async with open_house() as house:
        await ask(house, "early")
        folder = begin(tmp_path, "policy: {use: explicit, tier: large}")
        await until_taken(house)
        for user in range(40):
            await ask(house, f"u{user}")
            await ask(house, f"u{user}")
        folder.change("half", lambda before: stopped(before, now=time.time(), why="enough"))
        await asyncio.sleep(0.1)
        await ask(house, "late")
    rows = house.rows()
    assert [rows[0]["experiment"], rows[-1]["experiment"]] == ["", ""]
    exposed = [row for row in rows if row["experiment"] == "half"]
    arms = {(row["unit"], row["arm"]) for row in exposed}
    assert len(arms) == len({unit for unit, _ in arms}) >= 40
    assert Counter(arm for _, arm in arms).keys() == {"usual", "other"}
    assert {(row["arm"], row["tier"], row["policy"]) for row in exposed} == {
        ("usual", "mini", "threshold@0.5/large"),
        ("other", "large", "explicit@large"),
    }
    assert {row["propensity"] for row in exposed} == {0.5}
    assert all(row["score"] is not None for row in exposed)  # of the arm that sends all to Large, too


async def test_arms_do_not_answer_for_each_other_from_the_cache(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "threshold: 0.5")  # both arms are the same in all but their name
    async with open_house(cache={"enabled": True}) as house:
        for user in range(30):
            before = len(house.mini.calls)
            await ask(house, f"u{user}", "the same question", temperature=0)
            await asyncio.sleep(0.3 * (len(house.mini.calls) - before))  # a reply is kept in the background
        calls = len(house.mini.calls)
    assert calls == 2
    assert Counter(row["outcome"] for row in house.rows()) == {"answered": 2, "kept": 28}
    assert {(row["arm"], row["outcome"]) for row in house.rows()} == {
        (arm, outcome) for arm in ("usual", "other") for outcome in ("answered", "kept")
    }


async def test_an_arms_prompt_reaches_the_model(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "prompt: {suffix: be brief}")
    async with open_house() as house:
        for user in range(20):
            await ask(house, f"u{user}")
        first = {json.loads(call.body)["messages"][0]["content"] for call in house.mini.calls}
    assert first == {"hello", "be brief"}


async def test_an_arm_may_have_another_model(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "backends: {mini: {model: int8}}")
    async with open_house() as house:
        for user in range(20):
            await ask(house, f"u{user}")
    served = {(row["arm"], row["served"]) for row in house.rows()}
    assert served == {("usual", "small"), ("other", "int8")}


async def test_an_arm_with_another_mini_is_sampled_by_its_own_routes_and_teaches_nobody(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    begin(tmp_path, "backends: {mini: {model: int8}}")
    learning = {"shadow": 1.0, "concurrency": 100, "max_per_minute": 100}
    async with open_house(learning=learning, policy={"use": "threshold", "threshold": 1.0}) as house:
        for user in range(20):
            await ask(house, f"u{user}")
        async with asyncio.timeout(5):
            while len(compared(house)) < 20:
                await asyncio.sleep(0.01)
        said = (await house.client.get("/metrics")).text
    rows = {str(row["id"]): row for row in house.rows()}
    arms = Counter(str(row["arm"]) for row in rows.values())
    assert arms.keys() == {"usual", "other"}
    assert {(row["sampled"], shadow_of(row)) for row in rows.values()} == {(1.0, "big")}
    assert Counter(rows[name]["arm"] for name in compared(house)) == arms
    assert {rows[each.label.id]["arm"] for each in iter_labels(house.ledger)} == {"usual"}
    assert len(list(iter_labels(house.ledger))) == arms["usual"]
    assert 'tandem_shadow_calls_total{result="graded"} 20.0' in said


async def test_arms_share_what_may_be_called_in_a_minute(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "backends: {mini: {model: int8}}")
    learning = {"shadow": 1.0, "max_per_minute": 5}
    async with open_house(learning=learning, policy={"use": "threshold", "threshold": 1.0}) as house:
        for user in range(20):
            await ask(house, f"u{user}")
            async with asyncio.timeout(5):  # one after the other: only a few are made at once
                while len(compared(house)) < min(user + 1, 5):
                    await asyncio.sleep(0.01)
        said = (await house.client.get("/metrics")).text
    assert 'tandem_shadow_calls_total{result="over_rate"} 15.0' in said
    assert sum(shadow_of(row) == "big" for row in house.rows()) == 5


async def test_an_arm_with_another_large_has_nothing_to_agree_with(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "backends: {large: {model: other}}")
    learning = {"shadow": 1.0, "concurrency": 100, "max_per_minute": 100}
    async with open_house(learning=learning, policy={"use": "threshold", "threshold": 1.0}) as house:
        for user in range(20):
            await ask(house, f"u{user}")
    seen = {(row["arm"], row["sampled"], shadow_of(row)) for row in house.rows()}
    assert seen == {("usual", 1.0, "big"), ("other", 0.0, "")}


def compared(house: House) -> list[str]:
    with reading(house.ledger) as opened:
        return [row["request_id"] for row in opened.rows("SELECT * FROM assessments WHERE agreement IS NOT NULL")]


def shadow_of(row: Row) -> str:
    """Return the model of a request's shadow call; "" where it had none."""
    attempts = row["attempts"]
    assert isinstance(attempts, list)
    return next((attempt["model"] for attempt in attempts if attempt["kind"] == "shadow"), "")


async def test_an_experiment_that_cannot_be_taken_harms_nobody(
    open_house: OpenHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin(tmp_path, "policy: {use: certified, file: none.json}")
    async with open_house() as house:
        await ask(house, "u")
    assert [row["experiment"] for row in house.rows()] == [""]
    assert "half is not taken" in caplog.text


async def test_the_endpoint_for_decisions_says_what_the_arm_would_do(open_house: OpenHouse, tmp_path: Path) -> None:
    begin(tmp_path, "policy: {use: explicit, tier: large}")
    async with open_house() as house:
        answers = [await house.client.post("/v1/route", json=chat("hello", user=f"u{user}")) for user in range(20)]
    assert {answer.json()["policy"] for answer in answers} == {"explicit@large", "threshold@0.5/large"}
