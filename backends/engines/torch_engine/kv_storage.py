"""KV of whole blocks -> bytes of each block, and back.

Exactly as it was computed, in bfloat16, or in int8 with a scale for each token and head. Knows neither keys nor stores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

Storage = Literal["exact", "bfloat16", "int8"]

STORAGES: Final[tuple[Storage, ...]] = ("exact", "bfloat16", "int8")
_LARGEST: Final = 127
_SCALE: Final = torch.float32  # of int8: two bytes more a token and head than float16, and no small numbers lost


@dataclass(frozen=True, slots=True)
class KvLayout:
    """How the KV of one block lies in bytes: layer, keys before values, head, token, number; then the scales alike.

    Attributes:
        layers, heads, dim: of the model's KV.
        page: tokens of one block.
        dtype: that KV is computed in.
        storage: how it is stored.
    """

    layers: int
    heads: int
    dim: int
    page: int
    dtype: torch.dtype
    storage: Storage

    @property
    def block_bytes(self) -> int:
        """Return the bytes of one block."""
        rows = self.layers * 2 * self.heads * self.page
        scale: int = _SCALE.itemsize if self.storage == "int8" else 0
        number: int = self._stored.itemsize
        return rows * (self.dim * number + scale)

    def encode(self, kv: Tensor) -> list[memoryview]:
        """Return the bytes of each block.

        Args:
            kv: shape (layers, 2, heads, blocks * page, dim), in host memory.
        """
        blocks = kv.unflatten(3, (-1, self.page)).permute(3, 0, 1, 2, 4, 5)
        if self.storage != "int8":
            return _rows_of(blocks.to(self._stored))
        scales = blocks.abs().amax(-1, keepdim=True).to(_SCALE) / _LARGEST
        scales = scales.clamp_min(torch.finfo(_SCALE).tiny)  # what is zero has no scale of its own
        codes = (blocks / scales).round().to(torch.int8)
        return _rows_of(codes, scales)

    def decode(self, contents: Sequence[memoryview], device: torch.device) -> Tensor:
        """Return shape (layers, 2, heads, blocks * page, dim), in the dtype of the model, on its device.

        Args:
            contents: each of `block_bytes` bytes.
        """
        held = np.empty((len(contents), self.block_bytes), dtype=np.uint8)
        for row, content in zip(held, contents, strict=True):
            row[:] = np.frombuffer(content, dtype=np.uint8)
        data = torch.from_numpy(held).to(device)
        shape = (len(contents), self.layers, 2, self.heads, self.page)
        size = math.prod(shape[1:]) * self.dim * self._stored.itemsize
        blocks = _as(data[:, :size], self._stored).view(*shape, self.dim)
        if self.storage == "int8":
            blocks = blocks * _as(data[:, size:], _SCALE).view(*shape, 1)
        return blocks.permute(1, 2, 3, 0, 4, 5).flatten(3, 4).to(self.dtype)

    @property
    def _stored(self) -> torch.dtype:
        return {"exact": self.dtype, "bfloat16": torch.bfloat16, "int8": torch.int8}[self.storage]


def _rows_of(*parts: Tensor) -> list[memoryview]:
    """Return the bytes of each first index, all parts of it behind each other."""
    rows = [part.contiguous().view(torch.uint8).flatten(1) for part in parts]
    return [memoryview(row).cast("B") for row in torch.cat(rows, dim=1).numpy()]


def _as(data: Tensor, dtype: torch.dtype) -> Tensor:
    return data.contiguous().view(dtype)
