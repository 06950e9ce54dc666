"""KV of all answers of one adapter, one row an answer.

Each layer holds keys and values of shape (rows, positions, KV heads, head_dim) on its own device and grows as it is
needed. Every position is kept, sliding window or not: the mask decides what is seen, so a row can be cut back to any
length, and KV of a prefix is the same for all kinds of attention. The price is memory where windows are short.

transformers' own caches hold one length for all rows, or pages that its scheduler alone can fill; this one is told
before each forward which rows take part and where each goes on.
"""

from dataclasses import dataclass, field
from typing import Final

import torch
from transformers import Cache

from backends.engines.torch_engine.base import Layers

_STEP: Final = 256
"""Positions that a row grows by at least."""


@dataclass(slots=True)
class _Layer:
    """Numbers of one layer; `keys` and `values` are None until the layer was computed once."""

    keys: torch.Tensor | None = None
    values: torch.Tensor | None = None


@dataclass(slots=True)
class _Part:
    """What takes part in the forward that is under way: rows first to first+count-1, or any where they are scattered.

    `where` holds for each device the index of what is written, rows of shape (count, 1) and positions (count, new), and
    `lengths` how long each row is then.
    """

    rows: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    new: int = 0
    span: int = 0
    where: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    lengths: dict[torch.device, torch.Tensor] = field(default_factory=dict)

    def index(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        if device not in self.where:
            rows = torch.tensor(self.rows, device=device)[:, None]
            starts = torch.tensor(self.starts, device=device)[:, None]
            self.where[device] = rows, starts + torch.arange(self.new, device=device)
        return self.where[device]

    @property
    def follow(self) -> bool:
        return self.rows[-1] - self.rows[0] == len(self.rows) - 1


class Rows(Cache):
    """The cache that a model is given; `begin` comes before each forward.

    Args:
        context: positions that a row has at most.
        whole: give attention all positions that there is memory for, and not those alone that the longest row has: an
            attention that is told the lengths reads no more than those, and wants rows to follow each other in memory.
    """

    def __init__(self, layers: int, *, context: int, whole: bool = False) -> None:
        super().__init__(layers=[])
        self._whole = whole
        self._layers = [_Layer() for _ in range(layers)]
        self._context = context
        self._part = _Part()

    def begin(self, rows: list[int], starts: list[int], *, new: int) -> int:
        """Say which rows, in rising order, take part, at which positions each goes on, and how many tokens come.

        Returns:
            how many positions keys and values will have; the mask hides those that a row does not have.
        """
        self._part = _Part(rows=rows, starts=starts, new=new, span=max(starts) + new)
        return self._part.span

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values of shape (rows, heads, new, dim); return all, (rows, heads, positions, dim)."""
        part = self._part
        keys, values = self._room(layer_idx, part.rows[-1] + 1, part.span, like=(key_states, value_states))
        index = part.index(keys.device)
        keys[index], values[index] = key_states.transpose(1, 2), value_states.transpose(1, 2)
        if part.follow:
            chosen: slice | torch.Tensor = slice(part.rows[0], part.rows[-1] + 1)
        else:
            chosen = index[0][:, 0]
        span = keys.shape[1] if self._whole else part.span
        return keys[chosen, :span].transpose(1, 2), values[chosen, :span].transpose(1, 2)

    def lengths(self, device: torch.device) -> torch.Tensor:
        """Return how long each row is with its new tokens, int32."""
        part = self._part
        if device not in part.lengths:
            lengths = [start + part.new for start in part.starts]
            part.lengths[device] = torch.tensor(lengths, dtype=torch.int32, device=device)
        return part.lengths[device]

    def get_seq_length(self, _layer_idx: int = 0) -> int:
        """Return the longest row's length; rows have lengths of their own, which positions and mask say."""
        return max(self._part.starts, default=0)

    def put(self, row: int, layers: Layers, *, stop: int) -> None:
        """Write KV that ends before position `stop` into a row."""
        for layer, (keys, values) in enumerate(layers):
            into = self._room(layer, row + 1, stop, like=(keys[None], values[None]))
            for held, given in zip(into, (keys, values), strict=True):
                held[row, stop - given.shape[1] : stop] = given.transpose(0, 1).to(held.device, held.dtype)

    def read(self, row: int, start: int, stop: int) -> Layers:
        """Return views on a row's KV, each of shape (heads, positions, dim)."""
        return tuple(
            (keys[row, start:stop].transpose(0, 1), values[row, start:stop].transpose(0, 1))
            for keys, values in self._held()
        )

    def move(self, source: int, target: int, *, length: int) -> None:
        """Copy the first positions of a row over another's."""
        for held in self._held():
            for numbers in held:
                numbers[target, :length] = numbers[source, :length]

    def swap(self, one: int, other: int, *, length: int) -> None:
        """Exchange the first positions of two rows."""
        for held in self._held():
            for numbers in held:
                kept = numbers[one, :length].clone()
                numbers[one, :length] = numbers[other, :length]
                numbers[other, :length] = kept

    def wipe(self, row: int) -> None:
        """Write zeros: what is no number would spoil whoever takes the row next, hidden or not."""
        for held in self._held():
            for numbers in held:
                numbers[row].zero_()

    def drop(self) -> None:
        """Give the memory back."""
        self._layers = [_Layer() for _ in self._layers]

    def bytes_held(self) -> int:
        """Return how much memory it takes."""
        return sum(numbers.nbytes for held in self._held() for numbers in held)

    def _held(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [
            (layer.keys, layer.values) for layer in self._layers if layer.keys is not None and layer.values is not None
        ]

    def _room(
        self, layer: int, rows: int, positions: int, *, like: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        held = self._layers[layer]
        keys, values = held.keys, held.values
        if keys is not None and values is not None and keys.shape[0] >= rows and keys.shape[1] >= positions:
            return keys, values
        old_rows, old_positions = (0, 0) if keys is None else (keys.shape[0], keys.shape[1])
        if rows > old_rows:
            rows = max(rows, old_rows * 2)
        if positions > old_positions:
            grown = max(positions, old_positions + old_positions // 2)
            positions = max(positions, min(-(-grown // _STEP) * _STEP, self._context))
        rows, positions = max(rows, old_rows), max(positions, old_positions)
        new_keys = _grown(keys, like[0], rows, positions)
        new_values = _grown(values, like[1], rows, positions)
        held.keys, held.values = new_keys, new_values  # both or none: memory may end between the two
        return new_keys, new_values


def _grown(held: torch.Tensor | None, like: torch.Tensor, rows: int, positions: int) -> torch.Tensor:
    heads, dim = like.shape[1], like.shape[3]
    if held is None:
        return torch.zeros((rows, positions, heads, dim), dtype=like.dtype, device=like.device)
    grown = held.new_zeros((rows, positions, heads, dim))
    grown[: held.shape[0], : held.shape[1]] = held
    return grown
