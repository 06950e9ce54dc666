"""Tests router/certifying/examining.py and router/certifying/issuing.py, with models that know the answers."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from backends.base import ConnectFailed
from backends.capabilities import Capabilities
from router.base import Tier
from router.certificate import Certificate, Verdict
from router.certifying import asking
from router.certifying.base import CertifyingError, FilesError, NoAnswer, Plan, Suite
from router.certifying.examining import Examination
from router.certifying.issuing import Wanted, issue, margins_of
from router.certifying.judging import FIRST
from router.certifying.matching import Matcher
from router.certifying.suites.classification import Classification
from router.certifying.suites.long import LongInputs
from router.certifying.suites.memory import Memory
from router.certifying.suites.own import OwnPrompts
from router.certifying.suites.tools import Tools
from tests.router.certifying.answering import Answering, Brain, failing, knowing, model

COUNT = 100


def wanted_of(*suites: Suite, results: Path | None = None, everything: Sequence[str] = ()) -> Wanted:
    return Wanted(suites, {suite.name: suite.plans() for suite in suites}, everything, "c", results)


def plans_of(wanted: Wanted) -> list[Plan]:
    return [plan for plans in wanted.plans.values() for plan in plans]


def examination(
    wanted: Wanted, large: Brain, mini: Brain, *, count: int = COUNT, can: Capabilities | None = None
) -> Examination:
    return Examination(
        incumbent=model(Tier.LARGE, large),
        candidate=model(Tier.MINI, mini, can),
        margins=margins_of(plans_of(wanted), {}),
        seed=0,
        count=count,
        within=5.0,
    )


def verdicts(certificate: Certificate) -> dict[str, Verdict]:
    return {each.name: each.verdict for each in certificate.slices}


async def test_equal_models_pass_every_slice_and_each_slice_says_what_it_guards() -> None:
    taken = {"cola", "mrpc", "stsb", "long_facts_200", "memory_5", "tools", "json_schema"}
    suites = (Classification(), LongInputs((200,)), Memory(), Tools())
    plans = {suite.name: [plan for plan in suite.plans() if plan.name in taken] for suite in suites}
    wanted = Wanted(suites, plans, (), "c", None)
    large = knowing(plans_of(wanted), 0, 150)
    certificate = await issue(wanted, examination(wanted, large, large, count=150))
    assert verdicts(certificate) == dict.fromkeys(taken, Verdict.PASSED)
    by_name = {each.name: each for each in certificate.slices}
    assert str(by_name["memory_5"].guards) == "from 11 messages"
    assert (by_name["tools"].cases, by_name["tools"].tokens, by_name["tools"].lost) == (150, 77, ())
    assert [each.name for each in by_name["cola"].measured] == ["matthews", "accuracy"]
    assert [each.incumbent for each in by_name["stsb"].measured] == [pytest.approx(1.0)] * 2
    assert certificate.data == dict.fromkeys(("classification", "long", "memory", "tools"), "built in")


async def test_a_worse_candidate_fails_early_where_it_is_worse_and_shows_what_it_lost() -> None:
    wanted = wanted_of(Memory())
    large = knowing(plans_of(wanted), 0, COUNT)
    said = examination(wanted, large, failing(large, 2))
    certificate = await issue(wanted, said)
    for each in certificate.slices:
        assert each.verdict is Verdict.FAILED
        assert each.cases == FIRST
        assert each.adjusted == 1.0
        assert len(each.lost) == 3
        assert each.lost[0].candidate_said == "I cannot say."
        assert each.lost[0].incumbent_said == each.lost[0].wanted
        assert each.lost[0].asked.startswith("What is the ")


async def test_a_model_without_room_or_tools_is_not_asked() -> None:
    wanted = wanted_of(LongInputs((5_000,)), Tools())
    large = knowing(plans_of(wanted), 0, 4)
    said = examination(wanted, large, large, count=4, can=Capabilities(context_tokens=4_096, tools=False))
    certificate = await issue(wanted, said)
    why = {each.name: each.why for each in certificate.slices if each.verdict is Verdict.CANNOT}
    assert why["tools"] == "mini lacks tools"
    assert why["long_needle_5000"] == "mini has room for 4,096 tokens, and 5,000 or more are asked"
    assert len(why) == 4
    assert isinstance(said.candidate.backend, Answering)
    assert all("tools" not in body for body in said.candidate.backend.bodies)


async def test_a_run_goes_on_where_it_was_cut_off_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_PAUSE", 0.0)
    path = tmp_path / "c.partial"
    wanted = wanted_of(Tools(), results=path)
    knows = knowing(plans_of(wanted), 0, 30)
    asked = 0

    def dies(body: dict[str, object]) -> object:
        nonlocal asked
        asked += 1
        return knows(body) if asked <= 50 else ConnectFailed("cut")

    with pytest.raises(NoAnswer, match="mini does not answer: cut"):
        await issue(wanted, examination(wanted, knows, dies, count=30))
    kept = path.read_text().count("\n") - 1
    assert 40 <= kept <= 50
    again = examination(wanted, knows, knows, count=30)
    certificate = await issue(wanted, again)
    assert isinstance(again.candidate.backend, Answering)
    assert len(again.candidate.backend.bodies) == 3 * 30 - kept
    whole = await issue(wanted_of(Tools()), examination(wanted, knows, knows, count=30))
    assert certificate.slices == whole.slices
    other = examination(wanted, knows, knows, count=7)
    with pytest.raises(FilesError, match="other models, suites, margins, questions or another seed"):
        await issue(wanted, other)


async def test_prompts_without_a_wish_compare_both_with_the_first_reply(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(f'{{"prompt": "number {n}?", "tenant": "acme"}}\n' for n in range(90)))
    wanted = wanted_of(OwnPrompts(path, matcher=Matcher()), everything=("tenant:acme",))
    large, turns = (lambda body: body["messages"][0]["content"]), [0]

    def wavering(body: dict[str, object]) -> object:
        turns[0] += 1
        return f"{large(body)} {turns[0] % 2}"  # type: ignore[no-untyped-call]  # a lambda

    said = examination(wanted, large, large)
    (found,) = (await issue(wanted, said)).slices
    assert (found.verdict, found.measured[0].incumbent, found.guards.everything) == (Verdict.PASSED, 1.0, True)
    assert isinstance(said.incumbent.backend, Answering)
    assert len(said.incumbent.backend.bodies) == 180
    (never,) = (await issue(wanted, examination(wanted, wavering, large))).slices
    assert never.measured[0].incumbent < 1.0
    (lost,) = (await issue(wanted, examination(wanted, large, lambda _: "else"))).slices
    assert lost.verdict is Verdict.FAILED
    assert lost.lost[0].case.startswith("line ")
    assert (lost.lost[0].asked, lost.lost[0].candidate_said) == ("", "")


async def test_a_margin_of_no_slice_is_named() -> None:
    with pytest.raises(CertifyingError, match="there is no slice nope; there are json_object, json_schema, tools"):
        margins_of(Tools().plans(), {"nope": 0.1})
    assert margins_of(Tools().plans(), {"tools": 0.02}) == {"tools": 0.02, "json_schema": 0.05, "json_object": 0.05}
