"""Tests backends/engines/torch_engine/kv_storage.py."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor, dtype

torch = pytest.importorskip("torch")

from backends.engines.torch_engine.kv_storage import STORAGES, KvLayout, Storage  # noqa: E402 - it needs torch

CPU = torch.device("cpu")


def layout_of(storage: Storage, dtype: "dtype" = torch.float32) -> KvLayout:
    return KvLayout(layers=3, heads=2, dim=8, page=4, dtype=dtype, storage=storage)


def random_kv(tokens: int, dtype: "dtype" = torch.float32) -> "Tensor":
    return torch.randn(3, 2, 2, tokens, 8, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_exact_storage_gives_back_every_bit(dtype: "dtype") -> None:
    layout, kv = layout_of("exact", dtype), random_kv(12, dtype)
    contents = layout.encode(kv)
    assert [len(content) for content in contents] == [layout.block_bytes] * 3
    decoded = layout.decode(contents, CPU)
    assert decoded.dtype == dtype
    assert torch.equal(decoded, kv)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_block_is_the_same_whatever_stands_beside_it(storage: Storage) -> None:
    layout, kv = layout_of(storage), random_kv(12)
    contents = layout.encode(kv)
    assert bytes(layout.encode(kv[:, :, :, 4:8])[0]) == bytes(contents[1])
    assert torch.equal(layout.decode(contents[:2], CPU), layout.decode(contents, CPU)[:, :, :, :8])


def test_bfloat16_takes_half_the_bytes_and_keeps_eight_bits() -> None:
    layout, kv = layout_of("bfloat16"), random_kv(8)
    assert layout.block_bytes * 2 == layout_of("exact").block_bytes
    assert torch.equal(layout.decode(layout.encode(kv), CPU), kv.bfloat16().float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_int8_errs_by_half_a_step_of_each_head_and_token_at_most(dtype: "dtype") -> None:
    layout, kv = layout_of("int8", dtype), random_kv(8, dtype)
    kv[:, :, :, ::2] *= 1000  # a loud token does not blur its neighbours
    kv[0, 0, 0, 0] = 0.0
    decoded = layout.decode(layout.encode(kv), CPU)
    step = kv.float().abs().amax(-1, keepdim=True) / 127
    own = 2**-8 * kv.float().abs() if dtype == torch.bfloat16 else 0.0  # what the dtype itself rounds off
    assert ((decoded.float() - kv.float()).abs() <= step * 0.502 + own).all()
    assert (decoded[0, 0, 0, 0] == 0).all()
    assert layout.block_bytes == 3 * 2 * 2 * 4 * (8 + 4)


@pytest.mark.parametrize("storage", STORAGES)
def test_what_was_computed_in_inference_mode_can_be_encoded_outside(storage: Storage) -> None:
    with torch.inference_mode():
        kv = random_kv(4)
    assert len(layout_of(storage).encode(kv)) == 1


def test_zeros_are_stored_with_a_scale_that_divides() -> None:
    content = layout_of("int8").encode(torch.zeros(3, 2, 2, 4, 8))[0]
    codes = 3 * 2 * 2 * 4 * 8
    assert not any(content[:codes])
    assert (np.frombuffer(content[codes:], np.float32) > 0).all()
