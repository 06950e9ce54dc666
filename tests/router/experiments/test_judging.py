"""Tests router/experiments/judging.py, router/experiments/findings.py, router/experiments/verdicts.py and
router/experiments/telling.py.
"""

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from router.experiments.definition import Experiment
from router.experiments.judging import judge
from router.experiments.standing import Epoch, Ramp, Standing
from router.experiments.telling import lines_of, report_of
from router.experiments.verdicts import Verdict, verdict_of
from router.ledger.experiments import Exposed
from tests.router.experiments.files import experiment_of, seen_of

EVEN = (Decimal("0.5"), Decimal("0.5"))
STANDING = Standing(
    "half", {}, "d", "s", 1_000_000.0, (Ramp(1_000_000.0, "1"),), (Epoch(1_000_000.0, ("0.5", "0.5"), "the file"),)
)


def verdict(seen: Exposed, experiment: Experiment | None = None) -> Verdict:
    return verdict_of(judge(experiment or experiment_of(), seen, EVEN))


def test_nobody_is_too_early() -> None:
    findings = judge(experiment_of(), seen_of(0), EVEN)
    found = verdict_of(findings)
    assert found.sentence == "Keep running: nobody is in an arm yet; 400 units are needed."
    assert "nan" not in "\n".join(lines_of(STANDING, findings, found))


def test_three_samples_are_too_early_and_give_no_figure() -> None:
    seen = seen_of(3)
    findings = judge(experiment_of(), seen, EVEN)
    found = verdict_of(findings)
    assert found.sentence == "Keep running: too early: 394 more units before anything is said."
    report = json.loads(json.dumps(report_of(STANDING, findings, found)))
    arm = report["arms"]["lower"]
    assert arm["quality"]["difference"] is None
    assert arm["cost"]["difference"] is None
    assert arm["cost"]["control"] is None
    assert arm["guard_rails"]["overhead_p99"]["difference"] is None
    text = "\n".join(lines_of(STANDING, findings, found))
    assert "resolution       too early" in text
    assert "cost a request   too early" in text


def test_arms_that_are_not_filled_as_planned_stop_everything() -> None:
    seen = seen_of(1_000)
    kept = np.flatnonzero((seen.arm == 0) | (np.arange(2_000) % 4 != 0))
    fewer = replace(seen, arm=seen.arm[kept], sums={name: values[kept] for name, values in seen.sums.items()})
    fewer = replace(fewer, overheads=np.zeros(0), overhead_rows=np.zeros(0, np.intp))
    found = verdict(fewer)
    assert found.kind == "stop"
    assert found.why.startswith("the arms are not filled as planned (usual 1000, lower 750; p = ")


def test_an_arm_that_keeps_quality_and_costs_less_is_shipped() -> None:
    found = verdict(seen_of(3_000, cheaper=0.4))
    assert found.kind == "ship"
    assert found.sentence.startswith("Ship lower: resolution of lower falls by less than 0.05, and a request costs 3")


def test_an_arm_that_loses_quality_is_stopped_however_cheap_it_is() -> None:
    found = verdict(seen_of(3_000, cheaper=0.6, better=-0.15))
    assert found.sentence == "Stop: lower surely loses more resolution than the margin of 0.05."


def test_an_arm_that_costs_more_is_stopped() -> None:
    assert verdict(seen_of(3_000, cheaper=-0.5)).why.endswith("but it surely costs more")


def test_what_is_not_shown_yet_says_how_many_more_it_takes_and_at_the_end_that_it_was_not() -> None:
    seen, experiment = seen_of(300), experiment_of(margin=0.02)
    found = verdict(seen, experiment)
    assert found.kind == "keep"
    assert "more complex conversations that are closed in each arm" in found.why
    assert 4_000 < found.missing < 12_000
    over = verdict(seen, experiment_of(margin=0.02, maximum=500))
    assert over.sentence.startswith("Stop: after 600 units it is not shown that lower loses less than 0.02")


def test_a_broken_guard_rail_stops_what_is_cheap_and_good() -> None:
    seen = seen_of(3_000, cheaper=0.4)
    refused = np.where(seen.arm == 1, 0.2, 0.01) * seen.sums["assessed"]
    found = verdict(replace(seen, sums={**seen.sums, "refused": np.round(refused)}))
    assert found.why == "refusals of lower are surely worse by more than the 0.01 that is allowed"


def test_a_slower_gateway_is_seen_by_its_99th_percentile() -> None:
    seen = seen_of(3_000, cheaper=0.4)
    slow = seen.overheads * np.where(seen.arm[seen.overhead_rows] == 1, 40.0, 1.0)
    assert verdict(replace(seen, overheads=slow)).why.startswith("overhead_p99 of lower are surely worse")


@pytest.mark.parametrize(
    ("quality", "over", "under"),
    [("agreement", "agreement", "compared"), ("checks", "passed", "checks"), ("thumbs", "thumbs", "rated")],
)
def test_another_quality_may_be_declared(quality: str, over: str, under: str) -> None:
    seen = seen_of(3_000, cheaper=0.4)
    sums = {**seen.sums, over: seen.sums["resolved"], under: seen.sums["conversations"]}
    sums = {name: values for name, values in sums.items() if name not in ("conversations", "resolved")}
    found = verdict(replace(seen, sums=sums), experiment_of(quality=quality, complex_from=None))
    assert found.sentence.startswith(f"Ship lower: {quality} of lower")


def test_what_users_cost_before_makes_the_difference_surer() -> None:
    seen = seen_of(800)
    history = {"requests": seen.sums["requests"], "cost": seen.sums["cost"] * 1.1}
    plain, knowing = (judge(experiment_of(), each, EVEN).arms[0] for each in (seen, replace(seen, earlier=history)))
    assert knowing.spared > 0.9
    assert float(knowing.cost.found.error) < 0.4 * float(plain.cost.found.error)


def constant_of(units: int, usual: float, lower: float) -> Exposed:
    """Return units of which each request costs the same in its arm, and that cost the same before."""
    seen = seen_of(units)
    requests = seen.sums["requests"]
    cost = requests * np.where(seen.arm, lower, usual)
    earlier = {"cost": requests * 0.1, "requests": requests}
    metrics = {"large_n": np.where(seen.arm, 0.0, seen.sums["answered"])}
    return replace(seen, sums={**seen.sums, **metrics, "cost": cost}, earlier=earlier)


@pytest.mark.parametrize(
    ("usual", "lower", "figures", "kind"),
    [
        (1e6, 0.7e6, "-30.0% [-30.0%, -30.0%] of 0.001000 USD; no unit of an arm differs from another", "ship"),
        (1e6, 1e6, "+0.0% [+0.0%, +0.0%] of 0.001000 USD; no unit of an arm differs from another", "keep"),
        (0.0, 0.0, "+0.000000 [+0.000000, +0.000000] USD; the control's costs nothing; no unit of an arm", "keep"),
        (0.0, 1e6, "+0.001000 [+0.001000, +0.001000] USD; the control's costs nothing; no unit of an arm", "stop"),
    ],
)
def test_where_no_cost_differs_within_an_arm_the_interval_is_a_point(
    usual: float, lower: float, figures: str, kind: str
) -> None:
    findings = judge(experiment_of(metrics=("large_share",)), constant_of(6_000, usual, lower), EVEN)
    found = verdict_of(findings)
    text = "\n".join(lines_of(STANDING, findings, found))
    assert f"cost a request   {figures}" in text
    assert "large_share      -1.0000 [-1.0000, -0.99" in text
    assert "nan" not in text
    assert found.kind == kind
    assert "costs 30.0% less" in found.why or kind != "ship"
    cost = json.loads(json.dumps(report_of(STANDING, findings, found), allow_nan=False))["arms"]["lower"]["cost"]
    assert (cost["low"], cost["high"], cost["variance_spared"]) == (cost["difference"], cost["difference"], 0.0)


def test_a_cost_that_differs_where_the_control_costs_nothing_has_an_interval() -> None:
    seen = seen_of(2_000)
    sums = {**seen.sums, "cost": np.where(seen.arm, seen.sums["cost"], 0.0)}
    findings = judge(experiment_of(), replace(seen, sums=sums), EVEN)
    text = "\n".join(lines_of(STANDING, findings, verdict_of(findings)))
    assert "USD; the control's costs nothing; days before explain 0%" in text


def test_few_units_of_one_cost_are_too_early() -> None:
    findings = judge(experiment_of(), constant_of(900, 1e6, 0.7e6), EVEN)
    assert "cost a request   too early" in "\n".join(lines_of(STANDING, findings, verdict_of(findings)))


def test_of_several_arms_each_gets_a_part_of_the_error_and_the_cheapest_good_one_is_shipped() -> None:
    seen = seen_of(4_000, cheaper=0.3)
    arm = np.concatenate([seen.arm, np.full(4_000, 2, np.intp)])
    rows = np.concatenate([np.arange(8_000), np.arange(4_000, 8_000)])
    sums = {name: values[rows] for name, values in seen.sums.items()}
    sums["cost"] = np.where(arm == 2, 0.5 * sums["cost"], sums["cost"])
    third = {"weight": 0.2, "threshold": 0.1}
    arms = {"usual": {"weight": 0.4}, "lower": {"weight": 0.4, "threshold": 0.3}, "lowest": third}
    experiment = experiment_of(arms=arms)
    three = replace(seen, arms=("usual", "lower", "lowest"), arm=arm, sums=sums)
    rows_of_overheads = seen.overhead_rows[seen.arm[seen.overhead_rows] == 1] + 4_000
    three = replace(
        three,
        overheads=np.concatenate([seen.overheads, seen.overheads[seen.arm[seen.overhead_rows] == 1]]),
        overhead_rows=np.concatenate([seen.overhead_rows, rows_of_overheads]),
    )
    thirds = (Decimal("0.3333"), Decimal("0.3333"), Decimal("0.3334"))
    findings = judge(experiment, three, thirds)
    assert verdict_of(findings).arm == "lowest"
    alone = judge(experiment_of(), seen, EVEN).arms[0]
    assert float(findings.arms[0].quality.low) < float(alone.quality.low)


def test_metrics_beside_share_one_error_and_doubts_are_told() -> None:
    seen = replace(seen_of(1_000), unpriced={"usual": 300}, crossed=4, open=7, erased=1_500_000.0)
    findings = judge(experiment_of(metrics=("large_share", "truncated", "mean_overhead")), seen, EVEN)
    text = "\n".join(lines_of(STANDING, findings, verdict_of(findings)))
    for said in ("4 units were seen in more than one arm", "5.", "7 complex conversations are still open", "erased"):
        assert said in text
    assert "Switch all traffic between arms by the hour" in text
    assert text.splitlines()[-1].startswith(("Keep running", "Ship", "Stop"))
    assert report_of(STANDING, findings, verdict_of(findings))["arms"]["lower"]["metrics"].keys() == {
        "large_share",
        "truncated",
        "mean_overhead",
    }
