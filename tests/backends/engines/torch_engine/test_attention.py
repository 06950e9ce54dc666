"""Tests of `backends/engines/torch_engine/attention.py`, with a plain kernel where FlashAttention is absent."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from backends.engines.torch_engine.attention import (  # noqa: E402 - needs torch
    FLASH,
    agrees,
    kernel,
    offer_flash,
    register,
)
from backends.engines.torch_engine.base import Loaded  # noqa: E402
from backends.engines.torch_engine.batch_trial import Runner, generated  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from tests.backends.engines.torch_engine.conftest import options_for  # noqa: E402
from tests.backends.engines.torch_engine.test_batching import prompts_of  # noqa: E402

CPU = torch.device("cpu")


def packed_attention(
    query: Any, key: Any, value: Any, begin_q: Any, begin_k: Any, _max_q: int, _max_k: int, **given: Any
) -> Any:
    """What the kernel of FlashAttention is said to do, one row after the other."""
    left = given["window_size"][0]
    rows = []
    for row, used in enumerate(given["seqused_k"].tolist()):
        asked = query[begin_q[row] : begin_q[row + 1]].float()
        start = int(begin_k[row])
        keys, values = (part[start : start + used].float() for part in (key, value))
        if given["enable_gqa"]:
            keys, values = (part.repeat_interleave(asked.shape[1] // part.shape[1], dim=1) for part in (keys, values))
        places = used - len(asked) + torch.arange(len(asked))
        apart = places[:, None] - torch.arange(used)
        hidden = (apart < 0) | ((apart > left) if left >= 0 else torch.zeros_like(apart, dtype=torch.bool))
        scores = torch.einsum("qhd,khd->hqk", asked, keys) * given["scale"]
        shares = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        rows.append(torch.einsum("hqk,khd->qhd", shares, values).to(query.dtype))
    return torch.cat(rows)


@pytest.mark.parametrize("kind", ["windowed", "mixtral"])
def test_rows_through_a_kernel_give_the_answers_of_generate(kind: str, folders: dict[str, Path]) -> None:
    flash = load_model(options_for(folders[kind]))
    register(packed_attention)
    flash.model.set_attn_implementation(FLASH)
    prompts = prompts_of(6, seed=2)
    truth = [generated(flash, prompt, 10) for prompt in prompts]
    runner = Runner(flash, places=3)
    runs = runner.run(prompts, limit=10)
    runner.close()
    assert [run.tokens for run in runs] == truth


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_kernel_that_is_right_is_taken(dtype: Any) -> None:
    assert agrees(packed_attention, CPU, dtype, head_dim=16, groups=2)
    assert agrees(packed_attention, CPU, dtype, head_dim=16, groups=1)


@pytest.mark.parametrize("wrong", [{"window_size": (-1, 0)}, {"scale": 1.0}])
def test_a_kernel_that_overlooks_something_is_not_taken(wrong: dict[str, Any]) -> None:
    def careless(*given: Any, **rest: Any) -> Any:
        return packed_attention(*given, **{**rest, **wrong})

    assert not agrees(careless, CPU, torch.float32, head_dim=16, groups=2)


def test_a_kernel_that_this_device_has_not_is_not_taken(models: dict[str, Loaded]) -> None:
    def absent(*_given: Any, **_rest: Any) -> Any:
        raise RuntimeError("no kernel image is available")

    assert not agrees(absent, CPU, torch.bfloat16, head_dim=16, groups=2)
    assert not offer_flash(models["mistral"], groups=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_torch_brings_a_kernel_that_agrees_on_an_accelerator() -> None:
    found = kernel()
    assert found is not None
    assert agrees(found, torch.device("cuda"), torch.bfloat16, head_dim=128, groups=4)
