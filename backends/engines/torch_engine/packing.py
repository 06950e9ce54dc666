"""Weights of 16 or 32 bit -> the same in 8 or 4 bits, dequantised where they are used.

transformers fuses the experts of a mixture into parameters of three dimensions, which the usual quantisers, made for
`Linear` layers, leave as they are. Here both are packed. Of the experts only those that a token is sent to are
dequantised, one at a time. Routers and norms stay as they are. Whether a packed model is still any good is not known
here.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUP: Final = 32
"""Weights that share one scale of 16 bits where 4 bits hold a weight: 4.5 bits each."""

_LARGEST_8: Final = 127
_LARGEST_4: Final = 8  # -8 to 7; the largest weight of a group is given the -8, whichever its sign
_FUSED: Final = 3  # dimensions of a parameter that holds one matrix for each expert
_SHARES: Final = tuple(0.70 + 0.02 * step for step in range(18))  # of the scale that clips nothing


class PackedWeight(nn.Module):
    """One matrix, or one for each expert, as integers with scales.

    Attributes:
        codes: int8, shaped as the weights were; or uint8 with two weights in each, columns halved.
        scales: bfloat16, shape (..., rows, 1), or (..., rows, columns / 32).
        dtype: of what comes out.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.dtype = weight.dtype
        codes, scales = _in_eight_bits(weight) if bits == 8 else _in_four_bits(weight)  # noqa: PLR2004 - bits
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)

    def __getitem__(self, expert: Tensor | int) -> Tensor:
        """Return the matrix of one expert."""
        return _unpacked(self.codes[expert], self.scales[expert], self.dtype)

    def whole(self) -> Tensor:
        """Return everything, dequantised."""
        return _unpacked(self.codes, self.scales, self.dtype)


class PackedLinear(nn.Linear):
    """A linear layer whose weight is packed; still a `Linear`, so that LoRA can be laid over it."""

    def __init__(self, packed: PackedWeight, bias: nn.Parameter | None) -> None:
        nn.Module.__init__(self)  # not that of Linear, which makes a weight
        self.packed = packed
        self.register_parameter("bias", bias)
        self.out_features, self.in_features = packed.scales.shape[0], packed.codes.shape[-1]
        if packed.codes.dtype is torch.uint8:
            self.in_features *= 2

    @property
    def weight(self) -> Tensor:
        """Return the weight, dequantised."""
        return self.packed.whole()

    def forward(self, given: Tensor) -> Tensor:
        """Return the layer's output; with 8 bits the scale of a row is applied to what comes out of it."""
        if self.packed.codes.dtype is torch.int8:
            out = functional.linear(given, self.packed.codes.to(given.dtype)) * self.packed.scales[:, 0].to(given.dtype)
            return out if self.bias is None else out + self.bias
        return functional.linear(given, self.packed.whole(), self.bias)


class PackedEmbedding(nn.Module):
    """An embedding table in 8 bits, one scale a token."""

    def __init__(self, packed: PackedWeight) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors of these tokens."""
        return self.packed[ids]


def pack(model: nn.Module, *, bits: int) -> None:
    """Pack all linear layers and experts in place, but for embeddings and the output layer.

    Args:
        model: a causal LM of transformers, not yet wrapped by anything.
        bits: 8 or 4; a matrix whose rows cannot be divided into groups of 32 gets 8.
    """
    head = model.get_output_embeddings()
    for holder, name in list(_linear_layers(model)):  # names alone: each weight is freed when it is packed
        layer = getattr(holder, name)
        if layer is not head:
            setattr(holder, name, PackedLinear(PackedWeight(layer.weight.detach(), bits), layer.bias))
    for holder, name in list(_fused_experts(model)):
        packed = PackedWeight(getattr(holder, name).detach(), bits)
        delattr(holder, name)  # a parameter; what follows is a module
        setattr(holder, name, packed)
        model.set_experts_implementation("eager")  # the one that takes one expert at a time


def pack_embeddings(model: nn.Module) -> None:
    """Pack the embedding, and the output layer, which often is the same matrix, in 8 bits."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    packed = PackedWeight(table.weight.detach(), 8)
    is_tied = head.weight is table.weight
    model.set_input_embeddings(PackedEmbedding(packed))
    model.set_output_embeddings(PackedLinear(packed if is_tied else PackedWeight(head.weight.detach(), 8), head.bias))


def _linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for holder in model.modules():
        for name, layer in holder.named_children():
            if isinstance(layer, nn.Linear) and name != "gate":  # a router in models that make it a Linear
                yield holder, name


def _fused_experts(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for holder in model.modules():
        for name, parameter in holder.named_parameters(recurse=False):
            if parameter.ndim == _FUSED:
                yield holder, name


def _in_eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return (codes, scales), symmetric around zero, one scale a row."""
    values = weight.float()
    scales = (values.abs().amax(-1, keepdim=True) / _LARGEST_8).to(torch.bfloat16)
    steps = torch.where(scales == 0, 1, scales).float()
    return (values / steps).round().clamp(-_LARGEST_8, _LARGEST_8).to(torch.int8), scales


def _in_four_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return (two codes a byte, scales), one scale a group; each group takes the scale that errs least."""
    if weight.shape[-1] % GROUP:
        return _in_eight_bits(weight)
    if weight.ndim == _FUSED:  # one expert at a time: the search needs room
        parts = [_in_four_bits(each) for each in weight]
        return torch.stack([codes for codes, _ in parts]), torch.stack([scales for _, scales in parts])
    groups = weight.float().unflatten(-1, (-1, GROUP))
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))  # with its sign
    best_scales = torch.zeros_like(extreme)
    best_codes = torch.zeros_like(groups)
    least = torch.full_like(extreme, torch.inf)
    for share in _SHARES:
        scales = (extreme * (-share / _LARGEST_4)).to(torch.bfloat16).float()
        codes = (groups / torch.where(scales == 0, 1, scales)).round().clamp(-_LARGEST_4, _LARGEST_4 - 1)
        error = (codes * scales - groups).square().sum(-1, keepdim=True)
        is_better = error < least
        least = torch.where(is_better, error, least)
        best_scales = torch.where(is_better, scales, best_scales)
        best_codes = torch.where(is_better, codes, best_codes)
    nibbles = (best_codes + _LARGEST_4).to(torch.uint8).flatten(-2)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4, best_scales.squeeze(-1).to(torch.bfloat16)


def _unpacked(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    if codes.dtype is torch.int8:
        return codes.to(dtype) * scales.to(dtype)
    nibbles = torch.stack((codes & 0xF, codes >> 4), -1).flatten(-2)
    groups = (nibbles.to(dtype) - _LARGEST_4).unflatten(-1, (-1, GROUP))
    return (groups * scales.to(dtype).unsqueeze(-1)).flatten(-2)
