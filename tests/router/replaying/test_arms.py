"""Tests router/replaying/arms.py: decisions of arms of experiments are made again, by what each arm changes.

A whole gateway decides, with its experiments beside it; the ledger and the experiments' folder are all that is left.
"""

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from router.commands.program import run
from router.experiments.folder import Folder
from router.experiments.standing import reweighed
from router.ledger.replays import LoggedRequest, iter_logged
from router.replaying.arms import Arm, Arms
from router.replaying.checking import Check, checked
from router.replaying.decisions import Decider
from tests.router.conftest import OpenHouse, chat, config_of
from tests.router.experiments.files import plan_of

CHAT = "/v1/chat/completions"
SIMPLE, COMPLEX = "hello", "Compare both, and explain which one is cheaper, and why? How much is it until 2027?"
ARMS = """\
id: half
unit: user
arms:
  usual: {weight: 0.25}
  lower: {weight: 0.25, threshold: 0.1}
  large: {weight: 0.25, policy: {use: explicit, tier: large}}
  other: {weight: 0.25, policy: {use: threshold, threshold: 0.9, default_tier: mini}, backends: {mini: {model: int8}}}
complex_from: 0.4
margin: 0.02
"""


@pytest.fixture(autouse=True)
def _same_arms_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.experiments.folder.secrets.token_hex", lambda count: "5" * count)


def folder_of(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "ledger-experiments")


def arms_of(folder: Path, **config: object) -> tuple[Decider, Arms]:
    chosen = config_of(folder, **config)
    usual = Decider(chosen, recalls=True)
    return usual, Arms(folder_of(folder), chosen, usual, {})


def check_of(folder: Path, **config: object) -> Check:
    return checked(iter_logged(folder / "ledger.db"), *arms_of(folder, **config))


async def asked(open_house: OpenHouse, tmp_path: Path, **config: object) -> list[LoggedRequest]:
    """Return what a gateway logs of some requests, all of them in an arm."""
    folder_of(tmp_path).start(plan_of(tmp_path, ARMS), now=time.time())
    async with open_house(**config) as house:
        for user in range(24):
            for text, model in ((SIMPLE, "auto"), (COMPLEX, "auto"), (COMPLEX, "auto-economy"), (SIMPLE, "large")):
                said = chat(text, user=f"u{user}", model=model, max_tokens=500)
                answer = await house.client.post(CHAT, json=said)
                assert answer.status_code in (200, 429)
    return list(iter_logged(tmp_path / "ledger.db"))


async def test_decisions_of_all_arms_come_out_equal_to_the_last_bit(open_house: OpenHouse, tmp_path: Path) -> None:
    log = await asked(open_house, tmp_path)
    assert {each.arm for each in log} == {"usual", "lower", "large", "other"}
    check = check_of(tmp_path)
    assert (check.equal.total(), check.unequal, check.others, check.undecidable) == (96, {}, {}, {})
    assert check.equal["fixed"] > 0


async def test_a_budget_moves_decisions_of_arms_again_as_it_did(open_house: OpenHouse, tmp_path: Path) -> None:
    limits = {"default": {"budget_usd": 0.0002, "budget_window": "day", "quality_floor": 0.0}}
    log = await asked(open_house, tmp_path, limits=limits)
    paced = sum(each.reason == "paced" for each in log)
    check = check_of(tmp_path, limits=limits)
    assert (check.unequal, check.others) == ({}, {})
    assert check.equal["paced"] == paced > 5


async def test_arms_whose_definition_is_gone_are_named_and_counted(open_house: OpenHouse, tmp_path: Path) -> None:
    log = await asked(open_house, tmp_path)
    (tmp_path / "ledger-experiments" / "half.json").unlink()
    check = check_of(tmp_path)
    assert (check.equal, check.unequal, check.others) == ({}, {}, {})
    for name in ("usual", "lower", "large", "other"):
        (said,) = [why for why in check.undecidable if why.startswith(f"made by arm {name} of experiment half: ")]
        assert check.undecidable[said] == sum(each.arm == name for each in log)
        assert f"not in {tmp_path / 'ledger-experiments'}" in said
    (tmp_path / "ledger-experiments" / "half.json").write_text("{}")
    assert all("its definition cannot be used" in why for why in check_of(tmp_path).undecidable)


async def test_a_share_of_units_that_the_arm_never_had_is_a_difference(open_house: OpenHouse, tmp_path: Path) -> None:
    log = await asked(open_house, tmp_path)
    usual, arms = arms_of(tmp_path)
    lower = next(each for each in log if each.arm == "lower")
    check = checked([lower, lower._replace(propensity=0.5), lower._replace(started=1.0)], usual, arms)
    assert (check.equal.total(), check.unequal.total()) == (1, 2)
    assert "propensity was 0x1.0000000000000p-1, is 0x1.0000000000000p-2" in check.examples[0]
    assert "propensity was 0x1.0000000000000p-2, is None" in check.examples[1]
    unknown = checked([lower._replace(arm="fifth")], usual, arms)
    assert "has no such arm" in next(iter(unknown.undecidable))


@pytest.mark.parametrize(("after", "told"), [(5.0, 0.25), (15.0, 0.125)])
async def test_moved_weights_are_those_of_the_time(
    open_house: OpenHouse, tmp_path: Path, after: float, told: float
) -> None:
    log = await asked(open_house, tmp_path)
    weights = tuple(map(Decimal, ("0.625", "0.125", "0.125", "0.125")))
    move = log[-1].started + 10.0
    folder_of(tmp_path).change("half", lambda before: reweighed(before, weights, now=move, why="better"))
    arm = arms_of(tmp_path)[1].of(lower := next(each for each in log if each.arm == "lower"))
    assert isinstance(arm, Arm)
    assert arm.propensity(lower._replace(started=log[-1].started + after, propensity=told)) == told
    assert arm.propensity(lower._replace(started=log[-1].started + after, propensity=0.9)) == told


async def test_the_command_takes_the_experiments_beside_the_ledger(
    open_house: OpenHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = await asked(open_house, tmp_path)
    kind = "tests.router.scripted:ScriptedOptions"
    config = tmp_path / "tandem.yaml"
    config.write_text(
        f"""\
backends:
  large: {{use: "{kind}", tier: large, model: big, price: desk-large}}
  mini: {{use: "{kind}", tier: mini, model: small, price: desk-mini}}
classifier: {{use: rules}}
policy: {{use: threshold, threshold: 0.5}}
ledger: {{use: sqlite, path: "{tmp_path / "ledger.db"}"}}
"""
    )
    assert run(["replay", "--check", "--config", str(config), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (sum(said["equal"].values()), said["unequal"], said["other_policies"]) == (len(log), {}, {})
