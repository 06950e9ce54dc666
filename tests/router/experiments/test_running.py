"""Tests router/experiments/running.py."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from backends.base import ConnectFailed
from router.base import Request, Tier
from router.config.models import Config
from router.config.policies import ThresholdOptions
from router.experiments.assignment import assigned
from router.experiments.folder import Folder
from router.experiments.running import Experiments, open_experiments
from router.experiments.standing import stopped
from router.policies.explicit import Explicit
from tests.router.conftest import config_of
from tests.router.experiments.files import USUAL, plan_of
from tests.router.experiments.requests import request_of

OpenArm = Callable[[Config], AbstractAsyncContextManager[str]]


def opening(opened: Counter[str]) -> OpenArm:
    """Return what opens ways that are named by their threshold, and counts those that are open."""

    @asynccontextmanager
    async def open_arm(config: Config) -> AsyncGenerator[str, None]:
        assert isinstance(config.policy, ThresholdOptions)
        name = f"{config.policy.threshold}"
        opened[name] += 1
        yield name
        opened[name] -= 1

    return open_arm


def begin(folder: Path, text: str = USUAL, ramp: str = "1") -> Folder:
    place = Folder(folder / "experiments")
    place.start(plan_of(folder, text), now=time.time(), ramp=Decimal(ramp))
    return place


async def running(folder: Path, opened: Counter[str] | None = None) -> Experiments[str]:
    place = Folder(folder / "experiments")
    experiments = Experiments(place, config_of(folder), opening(Counter() if opened is None else opened), linger=0.0)
    await experiments.look()
    return experiments


async def test_each_unit_gets_its_arm_and_that_arms_way(tmp_path: Path) -> None:
    begin(tmp_path)
    experiments = await running(tmp_path)
    ways: Counter[tuple[str, str]] = Counter()
    for number in range(400):
        request, way = experiments.assign(request_of(user=f"{number:x}"), "usual")
        assert experiments.assign(request_of(user=f"{number:x}"), "usual") == (request, way)
        assert (request.assignment.experiment, request.assignment.unit) == ("half", f"{number:x}")
        assert request.assignment.propensity == 0.5
        ways[request.assignment.arm, way] += 1
    assert set(ways) == {("usual", "0.5"), ("lower", "0.3")}
    assert min(ways.values()) > 150
    await experiments.aclose()


async def test_a_request_that_names_no_unit_goes_the_usual_way(tmp_path: Path) -> None:
    begin(tmp_path)
    experiments = await running(tmp_path)
    request = request_of(conversation="c")
    assert experiments.assign(request, "usual") == (request, "usual")
    await experiments.aclose()


async def test_what_begins_widens_and_stops_counts_at_the_next_look(tmp_path: Path) -> None:
    opened: Counter[str] = Counter()
    experiments = await running(tmp_path, opened)
    assert not experiments.ids
    folder = begin(tmp_path, ramp="0.2")
    await experiments.look()
    assert experiments.ids == ("half",)
    before = {unit for unit in range(500) if experiments.assign(request_of(user=str(unit)), "usual")[1] != "usual"}
    folder.widen("half", Decimal("0.6"), now=time.time())
    await experiments.look()
    after = {unit for unit in range(500) if experiments.assign(request_of(user=str(unit)), "usual")[1] != "usual"}
    assert before < after
    assert dict(opened) == {"0.5": 1, "0.3": 1}
    folder.change("half", lambda standing: stopped(standing, now=time.time(), why="x"))
    await experiments.look()
    assert experiments.assign(request_of(user="1"), "usual")[1] == "usual"
    await asyncio.sleep(0.01)
    assert not +opened
    await experiments.aclose()


async def test_two_experiments_share_units_that_the_first_does_not_take(tmp_path: Path) -> None:
    begin(tmp_path, ramp="0.5")
    begin(tmp_path, USUAL.replace("id: half", "id: other").replace("0.3", "0.2"), ramp="0.5")
    experiments = await running(tmp_path)
    taken = Counter(
        experiments.assign(request_of(user=str(unit)), "usual")[0].assignment.experiment for unit in range(2_000)
    )
    assert taken["half"] == pytest.approx(1_000, abs=112)  # five standard deviations: the salts are chance
    assert taken["other"] == pytest.approx(500, abs=97)
    await experiments.aclose()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda state: state["values"].update(margin=0.4), "its definition was changed in flight"),
        (lambda state: state["ramps"].clear() or state["ramps"].append({"at": 9, "share": "0.1"}), "what has happened"),
    ],
)
async def test_a_state_that_was_tampered_with_is_not_followed(
    tmp_path: Path, damage: Callable[[dict[str, dict[str, float]]], None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = begin(tmp_path, ramp="0.5")
    experiments = await running(tmp_path)
    file = folder.path / "half.json"
    state = msgspec.json.decode(file.read_bytes())
    damage(state)
    file.write_bytes(msgspec.json.encode(state))
    await experiments.look()
    assert said in caplog.text
    assert experiments.ids == ("half",)
    file.write_text("{")
    await experiments.look()
    assert "an experiment goes on as it was" in caplog.text
    assert experiments.ids == ("half",)
    await experiments.aclose()


async def test_a_damaged_file_keeps_no_other_experiment_from_stopping(tmp_path: Path) -> None:
    folder = begin(tmp_path, ramp="0.5")
    begin(tmp_path, USUAL.replace("id: half", "id: other"), ramp="0.5")
    experiments = await running(tmp_path)
    (folder.path / "half.json").write_text("{")
    folder.change("other", lambda standing: stopped(standing, now=time.time(), why="x"))
    await experiments.look()
    assert experiments.ids == ("half",)
    await experiments.aclose()


async def test_where_the_folder_is_away_for_a_while_units_stay_in_their_arms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = begin(tmp_path, ramp="0.5")
    begin(tmp_path, USUAL.replace("id: half", "id: other"), ramp="0.5")
    experiments = await running(tmp_path)
    folder.path.rename(tmp_path / "away")
    await experiments.look()
    assert "half: goes on as it was, since its file is gone" in caplog.text
    assert experiments.ids == ("half", "other")
    (tmp_path / "away").rename(folder.path)
    await experiments.look()
    assert experiments.ids == ("half", "other")
    await experiments.aclose()


async def test_an_experiment_is_taken_whole_or_not_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begin(tmp_path)
    opened: Counter[str] = Counter()
    usual = opening(opened)

    @asynccontextmanager
    async def open_arm(config: Config) -> AsyncGenerator[str, None]:
        async with usual(config) as way:
            if way == "0.3":
                raise ConnectFailed("nobody is there")
            yield way

    experiments = Experiments(Folder(tmp_path / "experiments"), config_of(tmp_path), open_arm)
    await experiments.look()
    assert experiments.ids == ()
    assert "half is not taken: nobody is there" in caplog.text
    assert opened["0.5"] == 0
    await experiments.aclose()


async def test_a_running_gateway_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.experiments.running.LOOK_EVERY", 0.01)
    async with open_experiments(Folder(tmp_path / "e"), config_of(tmp_path), opening(Counter())) as experiments:
        Folder(tmp_path / "e").start(plan_of(tmp_path), now=time.time())
        async with asyncio.timeout(5):
            while not experiments.ids:
                await asyncio.sleep(0.01)


async def test_a_prompt_of_an_arm_is_in_the_body_and_not_in_what_is_scored(tmp_path: Path) -> None:
    begin(tmp_path, USUAL.replace("threshold: 0.3", "prompt: {prefix: be brief}"))
    experiments = await running(tmp_path)
    plain = request_of(user="x")
    bodies = {
        request.assignment.arm: (bytes(request.fields["messages"]), request.prompt == plain.prompt)
        for request, _ in (experiments.assign(request_of(user=str(unit)), "usual") for unit in range(50))
    }
    assert bodies["usual"] == (bytes(plain.fields["messages"]), True)
    assert bodies["lower"][0].startswith(b'[{"role":"system","content":"be brief"}')
    assert bodies["lower"][1]
    await experiments.aclose()


async def test_a_decision_bears_the_arm_of_its_request(tmp_path: Path) -> None:
    begin(tmp_path)
    experiments = await running(tmp_path)
    request, _ = experiments.assign(request_of(user="x"), "usual")
    plain = Explicit(Tier.MINI).decide(request, None)
    decision = assigned(request, plain)
    assert (decision.experiment, decision.arm, decision.propensity) == ("half", request.assignment.arm, 0.5)
    assert assigned(request_of(), plain) is plain
    await experiments.aclose()


async def test_assigning_costs_microseconds(tmp_path: Path) -> None:
    request = request_of(user="0123456789abcdef")
    none = await running(tmp_path)
    begin(tmp_path)
    some = await running(tmp_path)
    assert _fastest(none, request_of(user="a")) < 3e-6
    assert _fastest(some, request) < 30e-6  # of a busy machine; 10 is what it is to take
    await some.aclose()
    await none.aclose()


def _fastest(experiments: Experiments[str], request: Request) -> float:
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(100):
            experiments.assign(request, "usual")
        times.append((time.perf_counter() - begun) / 100)
    return min(times)
