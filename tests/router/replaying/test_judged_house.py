"""Cascades that were really run, beside what the log of another says of them; router/replaying/answers.py."""

from pathlib import Path
from typing import Any

import pytest

from router.ledger.replays import LoggedRequest, iter_logged
from router.replaying.columns import Reward
from router.replaying.report import Replay, replayed
from router.replaying.targets import NotReplayable, Target
from router.statistics.estimates import Estimate
from tests.router.conftest import OpenHouse, chat, config_of
from tests.router.verifying import BETWEEN, CHAT, ScriptedVerifier

DOUBTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
SHADOWS = {"shadow": 1.0, "max_per_minute": 100_000, "concurrency": 256, "keep_text": False}


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> ScriptedVerifier:
    scripted = ScriptedVerifier()
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: scripted)
    return scripted


class Logs:
    """What makes logs of houses with this and that policy, to which the same is sent."""

    def __init__(self, open_house: OpenHouse, verifier: ScriptedVerifier, folder: Path) -> None:
        self._open_house, self._verifier, self._folder = open_house, verifier, folder

    async def of(self, policy: dict[str, object], *, times: int = 1, **more: Any) -> list[LoggedRequest]:
        path = self._folder / f"{len(list(self._folder.iterdir()))}.db"
        async with self._open_house(policy=policy, ledger={"path": str(path)}, **more) as house:
            for number in range(times * len(DOUBTS)):
                self._verifier.p = DOUBTS[number % len(DOUBTS)]
                answer = await house.client.post(CHAT, json=chat(f"question {number}"))
                assert answer.status_code == 200
        return list(iter_logged(path))

    def replay(self, log: list[LoggedRequest], policy: dict[str, object]) -> Replay:
        target = Target(config_of(self._folder, policy=policy), decides=True, reprices=False, says="policy")
        return replayed(log, target, reward=Reward.LABELS)


@pytest.fixture
def logs(open_house: OpenHouse, verifier: ScriptedVerifier, tmp_path: Path) -> Logs:
    return Logs(open_house, verifier, tmp_path)


def spent(log: list[LoggedRequest]) -> int:
    return sum(each.spent or 0 for each in log)


@pytest.mark.parametrize(
    "other",
    [
        {**BETWEEN, "wrong": 0.75},
        {**BETWEEN, "wrong": 0.5},
        {"use": "explicit", "tier": "mini"},
        {**BETWEEN, "easy": 1.0},
    ],
    ids=["less is given to large", "the same", "nothing is judged", "all of it is easy"],
)
async def test_what_takes_less_of_large_costs_what_a_gateway_has_paid(logs: Logs, other: dict[str, object]) -> None:
    log, really = await logs.of({**BETWEEN, "wrong": 0.5}), await logs.of(other)
    found = logs.replay(log, other)
    assert isinstance(found.cost, Estimate)
    assert found.was == spent(log)
    assert found.cost.low == found.cost.value == found.cost.high == spent(really)
    large = sum(each.source == "large" for each in really)
    assert found.large_share == large / len(DOUBTS)
    assert (found.to_large, found.to_mini) == (0, 5 - large)


async def test_what_takes_more_of_large_is_told_by_shadow_calls(logs: Logs) -> None:
    log = await logs.of({**BETWEEN, "wrong": 0.95}, times=15, learning=SHADOWS)
    others: list[dict[str, object]] = [{**BETWEEN, "wrong": 0.25}, {"use": "explicit", "tier": "large"}]
    for other in others:
        found, really = logs.replay(log, other), await logs.of(other)
        assert isinstance(found.cost, Estimate)
        assert found.cost.value == pytest.approx(15 * spent(really))
        assert found.large_share == sum(each.source == "large" for each in really) / len(really)


async def test_where_nothing_is_decided_anew_large_has_the_share_that_it_answered(logs: Logs, tmp_path: Path) -> None:
    log = await logs.of({**BETWEEN, "wrong": 0.5})
    target = Target(config_of(tmp_path), decides=False, reprices=False, says="cache")
    found = replayed(log, target, reward=Reward.LABELS)
    assert found.was_large_share == found.large_share == sum(each.source == "large" for each in log) / len(log) > 0.0


async def test_what_was_never_judged_is_refused(logs: Logs) -> None:
    log = await logs.of({"use": "threshold", "threshold": 0.5})
    with pytest.raises(NotReplayable, match=r"9 of 9 requests cannot be decided again: Mini's reply was not judged"):
        logs.replay(log, BETWEEN)
