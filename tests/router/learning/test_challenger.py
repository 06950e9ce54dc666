"""Tests router/learning/challenger.py and router/learning/opening.py: whole gateways with a registry."""

import asyncio
import logging
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from classifier.base import Classifier, Prompt, Score, Turn
from classifier.options import ClassifierOptions
from classifier.rules import RulesClassifier
from router.base import Decision, Policy, Request, Tier
from router.config.faults import ConfigError, Fault
from router.guards.large_share import CAPPED
from router.learning import challenger
from router.learning.challenger import Contests
from router.learning.champion import Champion, Contender
from router.learning.evidence import Evidence
from router.learning.grading import Grade
from router.learning.opening import _learn, enthrone
from router.learning.registry import Registry, RegistryError
from router.learning.shadows import Lesson
from router.learning.standing import Happening, promoted
from router.policies.threshold import Threshold
from tests.router.conftest import House, OpenHouse, chat, config_of
from tests.router.learning.by_hand import EASY, HARD
from tests.router.learning.conftest import WeightsOf
from tests.router.learning.test_shadows import until
from tests.router.scripted import COMPLETION

CHAT = "/v1/chat/completions"
LEARNING = {"shadow": 1.0, "shadow_large": 1.0, "concurrency": 200, "max_per_minute": 10_000}
OTHER = COMPLETION.replace(b"hello", b"goodbye")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenger, "POLL", 0.02)


def parts(weights: Path, folder: Path, **learning: object) -> dict[str, object]:
    return {
        "classifier": {"use": "linear", "weights": str(weights)},
        "policy": {"use": "threshold"},
        "learning": {**LEARNING, "registry": str(folder), **learning},
    }


async def ask(house: House, text: str, **more: object) -> str:
    """Send one request; Mini is wrong where it is hard. Returns who answered."""
    house.mini.completion = OTHER if text == HARD else COMPLETION
    answer = await house.client.post(CHAT, json=chat(text, **more))
    tier: str = answer.headers["x-tandem-tier"]
    await asyncio.sleep(0.005)  # its shadow call must find the same script
    return tier


async def test_a_better_challenger_takes_over_while_requests_go_on_and_after_a_restart(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    bad, good = weights_of("bad", sign=-1), weights_of("good")
    async with open_house(**parts(bad, registry.folder)) as house:
        assert [await ask(house, text) for text in (HARD, EASY)] == ["mini", "large"]
        registry.challenge(good, "linear", now=time.time())
        await asyncio.sleep(0.1)
        for number in range(60):
            await ask(house, (HARD, EASY)[number % 2])
            if registry.standing().champion.startswith("linear@good"):
                break
        await until(lambda: registry.standing().champion.startswith("linear@good"))
        await asyncio.sleep(0.1)
        assert [await ask(house, text) for text in (HARD, EASY)] == ["large", "mini"]
    assert {str(row["scorer"]) for row in house.rows()} == {"linear@bad", "linear@good"}
    standing = registry.standing()
    assert [event.what for event in standing.events] == [Happening.BEGAN, Happening.CHALLENGED, Happening.PROMOTED]
    assert standing.events[-1].evidence is not None
    assert standing.events[-1].evidence.n < 60
    async with open_house(**parts(bad, registry.folder)) as house:  # the file still names the first
        assert await ask(house, HARD) == "large"


async def test_a_promoted_one_that_loses_is_rolled_back_by_its_watcher(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    async with open_house(**parts(weights_of("good"), registry.folder)) as house:
        registry.challenge(weights_of("bad", sign=-1), "linear", now=time.time())
        registry.change(lambda standing: promoted(standing, now=time.time()))  # a person insists
        await asyncio.sleep(0.2)
        assert await ask(house, HARD) == "mini"
        for number in range(60):
            if registry.standing().champion.startswith("linear@good"):
                break
            await ask(house, (HARD, EASY)[number % 2])
        await until(lambda: registry.standing().champion.startswith("linear@good"))
        await asyncio.sleep(0.1)
        assert await ask(house, HARD) == "large"
    assert registry.standing().events[-1].what is Happening.ROLLED_BACK
    assert len(registry.versions()) == 2


async def test_a_reply_kept_under_one_version_is_not_given_under_another(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    both = parts(weights_of("one"), registry.folder) | {"cache": {"enabled": True}}
    async with open_house(**both) as house:
        for _ in range(2):
            answer = await house.client.post(CHAT, json=chat(EASY, temperature=0))
        assert answer.headers["x-tandem-cache"] == "hit"
        registry.challenge(weights_of("two"), "linear", now=time.time())  # of the same threshold: a policy of one name
        registry.change(lambda standing: promoted(standing, now=time.time()))
        await asyncio.sleep(0.2)
        answer = await house.client.post(CHAT, json=chat(EASY, temperature=0))
        assert answer.headers["x-tandem-cache"] == "miss"


async def test_what_came_before_the_challenger_does_not_count(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    async with open_house(**parts(weights_of("bad", sign=-1), registry.folder)) as house:
        registry.challenge(weights_of("good"), "linear", now=time.time() + 3_600)
        await asyncio.sleep(0.1)
        for _ in range(5):
            await ask(house, HARD)
        await asyncio.sleep(0.2)
    contest = registry.standing().contest
    assert contest is not None
    assert contest.evidence.n == 0


async def test_with_one_tier_alone_sampled_nobody_is_judged(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    async with open_house(**parts(weights_of("bad", sign=-1), registry.folder, shadow_large=0.0)) as house:
        registry.challenge(weights_of("good"), "linear", now=time.time())
        await asyncio.sleep(0.1)
        for _ in range(5):
            await ask(house, HARD)
        await asyncio.sleep(0.2)
    contest = registry.standing().contest
    assert contest is not None
    assert contest.evidence.n == 0


async def test_a_registry_that_breaks_while_it_is_followed_changes_nothing(
    weights_of: WeightsOf, open_house: OpenHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tmp_path / "registry")
    async with open_house(**parts(weights_of("good"), registry.folder)) as house:
        standing = registry.challenge(weights_of("two"), "linear", now=time.time())
        assert standing.contest is not None
        (registry.folder / "versions" / standing.contest.rival / "weights-two-0.5-1.json").write_text("{}")
        registry.change(lambda standing: promoted(standing, now=time.time()))
        with caplog.at_level(logging.ERROR):
            await until(lambda: "cannot be used, so nothing changes" in caplog.text)
            (registry.folder / "standing.json").write_text("nonsense")
            await until(lambda: "is not followed" in caplog.text)
        assert await ask(house, HARD) == "large"
    assert {str(row["scorer"]) for row in house.rows()} == {"linear@good"}


def test_a_registry_needs_a_classifier_with_weights(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs a classifier with weights"):
        config_of(tmp_path, learning={"registry": str(tmp_path / "registry")})


REQUEST = Request("r", "", "t", "/x", "auto", None, Prompt((Turn("user", "x"),)), False, False, {}, False, 0.0, 1.0)  # noqa: FBT003 - a request has that many fields


class Fixed(RulesClassifier):
    """Gives one score."""

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, prompt: Prompt) -> Score:
        return Score(self.value, f"fixed@{self.value}")


def lesson(
    *,
    weak: float,
    propensity: float,
    answered: Tier = Tier.MINI,
    tier: Tier = Tier.MINI,
    strong: float = 1.0,
    scorer: str = "fixed@0.0",
    reason: str = "score",
) -> Lesson:
    decision = Decision(tier, reason, Score(0.25, scorer), 0.5, "p@1")
    return Lesson(REQUEST, decision, time.time(), answered, Grade(strong, weak), propensity)


@pytest.mark.parametrize(
    ("weak", "propensity", "difference"),
    [(0.0, 0.01, 1.0), (0.0, 0.02, 0.5), (1.0, 0.01, -0.25)],
    ids=["mini was wrong", "a request sampled twice as often counts half", "large was not needed"],
)
async def test_differences_are_weighed_by_how_often_such_a_request_is_sampled(
    weak: float, propensity: float, difference: float, weights_of: WeightsOf, tmp_path: Path
) -> None:
    evidence = await evidence_of(lesson(weak=weak, propensity=propensity), weights_of, tmp_path)
    assert evidence.n == 1
    assert evidence.total == pytest.approx(difference)


@pytest.mark.parametrize("other", [{"scorer": "fixed@9"}, {"reason": CAPPED}], ids=["another version", "the cap"])
async def test_what_another_decided_says_nothing_of_the_champion(
    other: dict[str, str], weights_of: WeightsOf, tmp_path: Path
) -> None:
    told = lesson(weak=0.0, propensity=0.01, **other)  # type: ignore[arg-type]  # texts both
    assert (await evidence_of(told, weights_of, tmp_path)).n == 0


async def evidence_of(told: Lesson, weights_of: WeightsOf, tmp_path: Path) -> Evidence:
    """Return the evidence of a contest after one lesson; the champion says Mini, its rival Large."""

    def contender_of(version: str) -> Contender:
        value = 0.0 if version.startswith("linear@one") else 1.0
        return Contender(version, Fixed(value), Threshold(0.5, Tier.LARGE))

    registry = Registry(tmp_path / "registry")
    standing = registry.begin(weights_of("one"), "linear", now=1.0)
    registry.challenge(weights_of("two"), "linear", now=2.0)
    contests = Contests(
        registry,
        Champion(contender_of(standing.champion)),
        contender_of=contender_of,
        shares={Tier.MINI: 0.02, Tier.LARGE: 0.01},
        large_cost=0.25,
    )
    following = asyncio.create_task(contests.follow())
    await asyncio.sleep(0.1)
    await contests.judge(told)
    following.cancel()
    contest = registry.standing().contest
    assert contest is not None
    return contest.evidence


def test_a_policy_that_cannot_decide_by_a_version_s_scores_is_said(weights_of: WeightsOf, tmp_path: Path) -> None:
    def refuse(_: Classifier) -> Policy:
        raise ConfigError((Fault("", 1, 1, "policy.file", "certifies other scores"),))

    options = config_of(tmp_path).learning.model_copy(update={"registry": tmp_path / "registry"})
    with pytest.raises(RegistryError, match="certifies other scores"):
        enthrone(options, ClassifierOptions(weights=weights_of("one")), refuse)


async def test_the_policy_hears_what_callers_of_mini_lost_and_nothing_else() -> None:
    heard = list[tuple[float, float]]()

    def observe(score: float, loss: float) -> None:
        heard.append((score, loss))

    await _learn(observe, None, lesson(weak=0.0, propensity=0.1))
    await _learn(observe, None, lesson(weak=1.0, propensity=0.1))
    await _learn(observe, None, lesson(weak=0.0, propensity=0.1, answered=Tier.LARGE))  # escalated: nothing was lost
    await _learn(observe, None, lesson(weak=0.0, propensity=0.1, tier=Tier.LARGE, answered=Tier.LARGE))
    assert heard == [(0.25, 1.0), (0.25, 0.0), (0.25, 0.0)]
    await _learn(observe, None, lesson(weak=1.0, strong=0.0, propensity=0.1))  # a gain
    assert heard[3:] == [(0.25, -1.0)]
    await _learn(None, None, lesson(weak=0.0, propensity=0.1))
