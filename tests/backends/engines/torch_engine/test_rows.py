"""Tests of `backends/engines/torch_engine/rows.py`."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from backends.engines.torch_engine.rows import Rows  # noqa: E402 - needs torch


def written(cache: Rows, rows: list[int], starts: list[int], *, new: int, layer: int = 0) -> tuple[Any, Any]:
    """Write numbers that tell row, position and part apart."""
    cache.begin(rows, starts, new=new)
    marks = torch.tensor(
        [[100.0 * row + start + at for at in range(new)] for row, start in zip(rows, starts, strict=True)]
    )
    keys = marks[:, None, :, None].expand(len(rows), 2, new, 4)
    return cache.update(keys, keys + 0.5, layer)


def test_each_row_goes_on_where_it_stood() -> None:
    cache = Rows(1, context=1024)
    written(cache, [0, 1], [0, 0], new=3)
    keys, values = written(cache, [0, 1], [3, 1], new=1)
    assert keys.shape == (2, 2, 4, 4)
    assert keys[0, 0, :, 0].tolist() == [0, 1, 2, 3]
    assert keys[1, 0, :2, 0].tolist() == [100, 101]
    assert values[0, 1, 3, 2].item() == 3.5


def test_rows_that_do_not_follow_each_other_are_read_too() -> None:
    cache = Rows(1, context=1024)
    written(cache, [0, 1, 2], [0, 0, 0], new=2)
    keys, _ = written(cache, [0, 2], [2, 2], new=1)
    assert keys[:, 0, :, 0].tolist() == [[0, 1, 2], [200, 201, 202]]


def test_growing_keeps_what_was_written() -> None:
    cache = Rows(2, context=5000)
    for layer in (0, 1):
        written(cache, [0], [0], new=3, layer=layer)
        written(cache, [0, 1, 2], [3, 0, 0], new=900, layer=layer)
    for keys, _ in cache.read(0, 0, 3):
        assert keys[0, :, 0].tolist() == [0, 1, 2]
    assert cache.bytes_held() > 0
    cache.drop()
    assert cache.bytes_held() == 0


def test_a_row_is_moved_swapped_and_wiped() -> None:
    cache = Rows(1, context=64)
    written(cache, [0, 1], [0, 0], new=4)
    cache.swap(0, 1, length=4)
    assert cache.read(0, 0, 4)[0][0][0, :, 0].tolist() == [100, 101, 102, 103]
    cache.move(0, 1, length=2)
    assert cache.read(1, 0, 4)[0][0][0, :, 0].tolist() == [100, 101, 2, 3]
    cache.wipe(0)
    assert not cache.read(0, 0, 4)[0][1].any()


def test_what_was_read_can_be_put_into_another_cache_behind_its_end() -> None:
    one, other = Rows(1, context=64), Rows(1, context=64)
    written(one, [0], [0], new=6)
    other.put(2, one.read(0, 2, 6), stop=6)
    assert other.read(2, 2, 6)[0][0][1, :, 3].tolist() == [2, 3, 4, 5]


def test_a_kernel_that_is_told_lengths_gets_whole_rows() -> None:
    cache = Rows(1, context=1024, whole=True)
    written(cache, [0, 1], [0, 0], new=3)
    keys, _ = written(cache, [0, 1], [3, 1], new=1)
    assert keys.shape[2] >= 256
    assert keys.transpose(1, 2).is_contiguous()
    assert cache.lengths(torch.device("cpu")).tolist() == [4, 2]
