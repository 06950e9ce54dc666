"""Tests deploy/alerts.rules.yaml and deploy/runbook.md, against the figures that a gateway tells."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.base import Usage
from classifier.base import Score
from router.alerts.kinds import KINDS
from router.alerts.watching import watch_of
from router.base import Attempt, Decision, Outcome, Record, Tier
from router.config.alerts import AlertsOptions
from router.metrics.counters import Metrics
from router.metrics.event_loop import LoopMonitor
from router.metrics.families import exposition, families_of

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "alerts.rules.yaml").read_text(encoding="utf-8"))
RUNBOOK = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what /metrics tells after a request that Mini answered in Large's place."""
    folder = tmp_path_factory.mktemp("alerts")
    metrics = Metrics()
    decision = Decision(Tier.LARGE, "score", Score(0.9, "s"), 0.5, "p@1")
    attempts = [
        Attempt(kind, tier, "m", "h:1", Usage(1, None, 1), 1, "v")
        for kind, tier in (("primary", Tier.LARGE), ("failover", Tier.MINI))
    ]
    metrics.begin()
    metrics.end(decision, Record("r", Outcome.ANSWERED, 200, tuple(attempts), 0.1, 0.2, None), stream=True)
    watch = watch_of(AlertsOptions(), memory=folder / "a.json", source="w1", budgets=list)
    told = [*families_of(metrics.registry), *families_of(watch), *families_of(LoopMonitor())]
    return exposition(told).decode()


def test_each_rule_has_what_prometheus_and_people_need() -> None:
    assert {group["name"] for group in RULES["groups"]} == {"tandem", "tandem-from-outside"}
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    for rule in ALERTS:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Tandem[A-Za-z0-9]+", rule["alert"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert set(rule["annotations"]) == {"summary", "action", "runbook_url"}
        for opening, closing in ("()", "{}", "[]"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_metric_that_is_named_is_told(rule: dict[str, Any], figures: str) -> None:
    named = set(re.findall(r"tandem_[a-z0-9_]+", re.sub(r'"[^"]*"', "", rule["expr"])))
    assert named
    told = {re.split(r"[{ ]", line)[0] for line in figures.splitlines() if not line.startswith("#")}
    assert named <= told, named - told


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_what_the_gateway_finds_has_a_rule_of_the_same_words(kind: Any) -> None:
    (rule,) = [each for each in ALERTS if f'tandem_alert_state{{alert="{kind.name}"}}' in each["expr"]]
    said = rule["annotations"]
    assert (said["summary"], said["action"]) == (kind.means, kind.do)
    assert said["runbook_url"] == kind.runbook("deploy/runbook.md")
    assert rule["labels"]["severity"] == kind.severity


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_rule_has_a_section_that_says_what_to_do(rule: dict[str, Any]) -> None:
    section = SECTIONS[rule["annotations"]["runbook_url"].partition("#")[2]]
    for word in ("**Means.**", "**Look at.**", "**Do.**"):
        assert word in section


def test_each_section_belongs_to_a_rule_and_says_how_often_it_is_wrong_where_that_is_known() -> None:
    assert set(SECTIONS) == {rule["annotations"]["runbook_url"].partition("#")[2] for rule in ALERTS}
    for kind in KINDS.values():
        assert "**False alarms.**" in SECTIONS[kind.name.replace("_", "-")]
