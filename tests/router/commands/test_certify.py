"""Tests router/commands/certify.py, with models that know the answers, and once with those that are shipped."""

import json
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backends.base import Rejected
from router.base import Tier
from router.certificate import Certificate, Identity, Verdict, check, load
from router.certifying.matching import Matcher
from router.certifying.suites.memory import Memory
from router.certifying.suites.tools import Tools
from router.commands.program import run
from tests.router.certifying.answering import BRAINS, failing, knowing

KIND = "tests.router.certifying.answering:AnsweringOptions"


@pytest.fixture
def config(tmp_path: Path) -> Generator[str, None, None]:
    """Write a configuration over two models of which Mini does not know each fifth answer of what uses tools."""
    path = tmp_path / "tandem.yaml"
    tiers = "".join(f"  {tier}: {{use: {KIND!r}, tier: {tier}, model: the-{tier}, price: p}}\n" for tier in Tier)
    path.write_text(f"backends:\n{tiers}ledger: {{path: {tmp_path / 'ledger.db'}}}\n")
    memory, tools = (knowing(suite.plans(), 0, 100) for suite in (Memory(), Tools()))

    def mini(body: dict[str, Any]) -> object:
        return failing(tools, 5)(body) if "tools" in body or "response_format" in body else memory(body)

    BRAINS["large"] = lambda body: (tools if "tools" in body or "response_format" in body else memory)(body)
    BRAINS["mini"] = mini
    yield str(path)
    BRAINS.clear()


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return what `tandem certify --json` says."""
    assert run(["certify", "--json", *arguments]) == code
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def verdicts(certificate: Certificate) -> dict[str, Verdict]:
    return {each.name: each.verdict for each in certificate.slices}


def test_a_certificate_is_asked_judged_written_and_shown(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "c.json"
    arguments = ["--config", config, "--suite", "memory", "--suite", "tools", "--questions", "100", "--out", str(out)]
    assert run(["certify", *arguments, "--margin", "memory_5=0.1", "--everything", "memory_2"]) == 1
    told = capsys.readouterr()
    made = load(out)
    memory = {f"memory_{turns}": Verdict.UNDECIDED for turns in (2, 10, 20)}  # too few for five per cent of seven
    failed = dict.fromkeys(("tools", "json_schema", "json_object"), Verdict.FAILED)
    assert verdicts(made) == {**memory, "memory_5": Verdict.PASSED, **failed}
    assert [each.margin for each in made.slices] == [0.05, 0.1, *[0.05] * 5]
    assert made.slices[0].guards.everything
    check(made, out, {tier: Identity(tier, f"the-{tier}") for tier in Tier})
    assert "was shown to be as good as the-large on 1 of 7 slices" in told.out
    assert "more cases needed" in told.out
    assert "# Certificate of migration" in (out.parent / "c.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in out.parent.iterdir()) == ["c.json", "c.md"]


def test_where_all_is_shown_it_exits_with_zero(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--config", config, "--suite", "memory", "--questions", "100", "--margin", "memory_2=0.07",
                 "--margin", "memory_5=0.07", "--margin", "memory_10=0.07", "--margin", "memory_20=0.07")  # fmt: skip
    assert [each["verdict"] for each in found["slices"]] == ["passed"] * 4
    assert (found["earlier"], found["alpha"], found["correction"]) == (None, 0.025, "Holm")


def test_unasked_each_certificate_is_saved_beside_the_ledger_under_a_name_of_its_own(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", config, "--suite", "memory", "--questions", "10"]
    BRAINS["mini"] = lambda _: Rejected(401, b"{}", "application/json")
    assert run(["certify", *arguments, "--margin", "memory_2=0.4"]) == 1  # what is left of it is in nobody's way
    BRAINS["mini"] = BRAINS["large"]
    first = said(capsys, *arguments, code=1)
    assert run(["certify", *arguments]) == 1
    told = capsys.readouterr().out
    folder = tmp_path / "ledger-certificates"
    made = sorted(folder.glob("*.json"))
    assert len(made) == len(list(folder.glob("*.md"))) == 2
    assert len(list(folder.glob("*.partial"))) == 1
    (second,) = {str(each) for each in made} - {first["out"]}
    assert f"a configuration heeds it with `certificate: {second}`" in told
    assert f"{Path(second).with_suffix('.md')}: this report" in told
    assert all(load(each).slices for each in made)


def test_what_stood_at_a_chosen_place_is_kept_under_its_own_time(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.json"
    out.write_text("mine")
    arguments = ["--config", config, "--suite", "memory", "--questions", "10", "--out", str(out)]
    found = said(capsys, *arguments, code=1)
    earlier = Path(found["earlier"])
    assert (found["out"], earlier.read_text()) == (str(out), "mine")
    assert run(["certify", *arguments]) == 1
    assert "the certificate that stood there before" in capsys.readouterr().out
    assert len(list(tmp_path.glob("c*.json"))) == 3
    assert len(list(tmp_path.glob("c*.md"))) == 2  # the first had no report


def test_own_prompts_are_certified_and_their_text_stays_out_unless_wanted(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "c.json"
    prompts.write_text("".join(f'{{"prompt": "secret {n}", "expected": "yes"}}\n' for n in range(40)))
    BRAINS.update(large=lambda _: "yes", mini=lambda _: "a secret no")
    arguments = ["--config", config, "--suite", "prompts", "--prompts", str(prompts), "--out", str(out)]
    assert run(["certify", *arguments]) == 1
    assert "secret" not in out.read_text() + (tmp_path / "c.md").read_text() + capsys.readouterr().out
    assert run(["certify", *arguments, "--keep-text"]) == 1
    assert "secret" in (tmp_path / "c.md").read_text()
    (found,) = load(out).slices
    assert (found.name, found.verdict, found.guards.everything) == ("prompts", Verdict.FAILED, True)


def test_a_pattern_that_takes_for_ever_leaves_its_slice_without_a_verdict_and_is_named(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.commands.certify.Matcher", partial(Matcher, within=0.2))
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"{n}?", "regex": "^(a+)+$" if n == 7 else "a", "tenant": ("x", "y")[n % 2]} for n in range(80)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    BRAINS.update(large=lambda _: "a" * 40 + "!", mini=lambda _: "a" * 40 + "!")
    arguments = ["--config", config, "--suite", "prompts", "--prompts", str(prompts), "--margin", "tenant:x=0.2"]
    found = said(capsys, *arguments, code=1)
    assert [(each["name"], each["verdict"]) for each in found["slices"]] == [
        ("tenant:x", "passed"),
        ("tenant:y", "cannot"),
    ]
    assert found["slices"][1]["why"].startswith("the regex of line 8 took too long on a reply; write it so that ")


def test_a_run_that_a_model_ends_says_so_and_keeps_what_it_has(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.json"
    BRAINS["mini"] = lambda _: Rejected(401, b"{}", "application/json")
    assert run(["certify", "--config", config, "--suite", "memory", "--out", str(out)]) == 1
    assert "mini refuses every request: mini refuses it: 401" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("c*")] == ["c.json.partial"]
    arguments = ["--config", config, "--suite", "memory", "--out", str(out), "--seed", "1"]
    assert run(["certify", *arguments]) == 1
    assert "c.json.partial:1: holds results of a run with other models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--to", "large"), 2, "large cannot take over from itself"),
        (("--to", "medium"), 2, "medium"),
        (("--suite", "nope"), 2, "there is no suite nope"),
        (("--suite", "prompts"), 2, "the suite prompts has no file"),
        (("--margin", "tools"), 2, "tools is no margin"),
        (("--margin", "tools=2"), 2, "tools=2 is no margin"),
        (("--margin", "tools=nan"), 2, "tools=nan is no margin"),
        (("--margin", "nope=0.1"), 1, "there is no slice nope"),
        (("--everything", "nope"), 2, "there is no slice nope"),
        (("--questions", "0"), 2, "questions"),
        (("--glue", "."), 1, "holds none of CoLA/dev.tsv"),
        (("--prompts", "none.jsonl"), 1, "none.jsonl: cannot be read"),
        (("--config", "none.yaml"), 3, "none.yaml"),
        (("--suite", "tools", "--out", "/proc/none/c.json"), 1, "(/proc/none/c.json)"),
        (("--suite", "tools", "--out", "c.md"), 2, "c.md is where the report goes"),
    ],
)
def test_slips_are_named(
    arguments: tuple[str, ...], code: int, words: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if "--config" in arguments else ("--config", config, *arguments)
    assert run(["certify", *given]) == code
    assert words in capsys.readouterr().err


def test_the_shipped_models_are_alike_where_the_smaller_one_holds_the_rules_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.json"
    found = said(
        capsys, "--suite", "shop", "--questions", "110", "--margin", "shop_simple=0.06", "--out", str(out), code=1
    )
    simple, hard = found["slices"]
    assert (simple["name"], simple["verdict"], simple["cases"]) == ("shop_simple", "passed", 110)
    assert (hard["name"], hard["verdict"], hard["cases"]) == ("shop_complex", "failed", 40)
    assert simple["measured"][0]["incumbent"] > 0.97
    assert hard["measured"][0]["candidate"] < 0.3 < hard["measured"][0]["incumbent"]
    assert len(hard["lost"]) == 3
    assert len(load(out).candidate.digest) == 64
    config = tmp_path / "own.yaml"
    config.write_text(f"certificate: {out}\nledger: {{path: {tmp_path / 'l.db'}}}\n")
    assert run(["check", "--config", str(config)]) == 0
    config.write_text(f"certificate: {out}\nbackends: {{mini: {{use: local, name: desk-large}}}}\n")
    assert run(["check", "--config", str(config)]) == 3
    assert "certifies desk-mini" in capsys.readouterr().err
