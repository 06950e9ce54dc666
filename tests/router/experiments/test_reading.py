"""Tests router/experiments/reading.py, router/experiments/overrides.py and router/experiments/definition.py."""

from pathlib import Path

import pytest

from router.base import Tier
from router.config.faults import ConfigError
from router.config.policies import ThresholdOptions
from tests.router.experiments.files import USUAL, plan_of

KIND = "tests.router.scripted:ScriptedOptions"


def faults_of(folder: Path, text: str) -> list[str]:
    """Return all faults of a text, without the folder."""
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, text)
    return [str(fault).removeprefix(f"{folder}/") for fault in caught.value.faults]


def test_an_arm_without_a_word_is_the_gateway_as_it_is(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert plan.experiment.controls == "usual"
    assert plan.experiment.treated == ("lower",)
    lower = plan.configs["lower"].policy
    assert isinstance(lower, ThresholdOptions)
    assert lower.threshold == 0.3
    assert plan.configs["usual"].policy != lower


def test_weights_are_the_decimal_fractions_that_are_written(tmp_path: Path) -> None:
    text = USUAL.replace("weight: 0.5, threshold", "weight: 0.3, threshold").replace("{weight: 0.5}", "{weight: 0.7}")
    assert sum(plan_of(tmp_path, text).experiment.weights) == 1
    ten = "".join(f"  a{number}: {{weight: 0.1}}\n" for number in range(10))
    begins, ends = USUAL.index("  usual"), USUAL.index("complex_from")
    assert len(plan_of(tmp_path, USUAL[:begins] + ten + USUAL[ends:]).configs) == 10


def test_arms_that_do_not_sum_to_1_are_refused_with_their_sum(tmp_path: Path) -> None:
    text = USUAL.replace("weight: 0.5, threshold", "weight: 0.4999, threshold")
    said = faults_of(tmp_path, text)
    assert said == ["half.yaml:4:3: arms: must have weights that sum to exactly 1, and they sum to 0.9999"]
    text = USUAL.replace("weight: 0.5, threshold", 'weight: "0.%s", threshold' % ("49" + "9" * 40))
    assert "no more than 12 decimal places" in faults_of(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("unit: user", "unit: users", "half.yaml:2:7: unit: must be one of tenant, user, conversation; did you mean"),
        ("threshold: 0.3", "treshold: 0.3", "half.yaml:5:24: arms.lower.treshold: unknown key; did you mean `thresh"),
        ("margin: 0.02\n", "", "half.yaml:1:1: margin: is missing; add it"),
        ("complex_from: 0.6\n", "", "half.yaml:1:1: complex_from: is missing; say from which score"),
        ("{weight: 0.5}", "{weight: true}", "half.yaml:4:19: arms.usual.weight: must be a number"),
        ("margin: 0.02", "margin: 0.02\ncontrol: x", "half.yaml:8:10: control: is the name of no arm; known are usual"),
        ("id: half", "id: a b", "half.yaml:1:5: id: must match pattern"),
        ("  lower: {weight: 0.5, threshold: 0.3}", "", "half.yaml:4:3: arms: dictionary should have at least 2 items"),
        ("threshold: 0.3}", "policy: {use: treshold}}", "half.yaml:5:38: arms.lower.policy.use: must be one of thres"),
        ("margin: 0.02", "margin: 0.02\nminimum: 90000", "half.yaml:8:10: minimum: must not be above maximum"),
        ("threshold: 0.3", "threshold: 0.3, policy: {use: threshold}", "half.yaml:5:10: arms.lower: must have either"),
        (
            "threshold: 0.3}",
            "backends: {large: {model: other}}}\nquality: agreement",
            "half.yaml:6:10: quality: cannot be agreement where the arm lower has another large",
        ),
        (
            "threshold: 0.3}",
            "backends: {large: {model: other}}}\nallocation: thompson\nreward: agreement",
            "half.yaml:7:9: reward: cannot be agreement where the arm lower has another large",
        ),
        ("margin: 0.02", "margin: 0.02\nmargin: 0.1", "half.yaml:8:1: margin: `margin` is given twice; first in line"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, change: str, to: str, said: str) -> None:
    assert change in USUAL
    found = faults_of(tmp_path, USUAL.replace(change, to))
    assert any(each.startswith(said) for each in found), found


def test_keys_of_a_backend_are_laid_over_what_is_configured(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, USUAL.replace("threshold: 0.3", "backends: {mini: {model: int8}}"))
    config = plan.configs["lower"]
    mini, usual = config.backends.by_tier[Tier.MINI], plan.configs["usual"].backends.by_tier[Tier.MINI]
    assert (mini.model, mini.price, usual.model) == ("int8", "desk-mini", "small")
    assert config.backends.large == plan.configs["usual"].backends.large


def test_a_backend_that_names_its_kind_is_taken_as_it_stands(tmp_path: Path) -> None:
    own = "backends: {mini: {use: openai_http, urls: ['http://127.0.0.1:9/v1'], model: m, price: '${PRICE}'}}"
    plan = plan_of(tmp_path, USUAL.replace("threshold: 0.3", own), {"PRICE": "desk-mini"})
    assert plan.configs["lower"].backends.by_tier[Tier.MINI].use == "openai_http"
    assert "${PRICE}" in str(plan.values)


def test_a_backend_that_cannot_be_is_refused_at_its_key(tmp_path: Path) -> None:
    said = faults_of(tmp_path, USUAL.replace("threshold: 0.3", "backends: {mini: {modle: int8}}"))
    assert said == [
        "half.yaml:5:42: arms.lower.backends.mini.modle: unknown key; did you mean `model`?"
    ]  # the place of the key, not that of the value
    own = "backends: {mini: {use: openai_http, urls: [nowhere], model: m, price: p}}"
    said = faults_of(tmp_path, USUAL.replace("threshold: 0.3", own))
    assert said[-1].startswith("half.yaml:5:67: arms.lower.backends.mini.urls[0]: url has the scheme")


def test_no_fault_tells_a_secret(tmp_path: Path) -> None:
    text = USUAL.replace("unit: user", "unit: ${SECRET}")
    path = tmp_path / "x"
    path.mkdir()
    with pytest.raises(ConfigError) as caught:
        plan_of(path, text, {"SECRET": "sk-hidden-in-here"})
    assert "sk-hidden" not in str(caught.value)
