"""Queries and rows of KV -> attention, by FlashAttention where torch has it for the device.

FlashAttention reads of each row what is there and needs no mask; SDPA with a mask reads every row up to the longest.
Such kernels differ by device, build and version, so it is tried against SDPA before it is used. Whoever computes the
model without rows, as `generate()` does, gets SDPA.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.rows import Rows

FLASH: Final = "tandem_rows"
"""The name that a model's configuration has for it; one with "flash" in it is looked for on the hub."""

_APART: Final = 2e-2
"""Root mean square of what two kernels may differ by, as a share of the values' own; 16-bit numbers round at 4e-3."""

Kernel = Callable[..., torch.Tensor]


def kernel() -> Kernel | None:
    """Return torch's attention over rows of different lengths, None where this torch has none."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - moves between versions
    except ImportError:
        return None
    return varlen_attn  # type: ignore[no-any-return] # torch has no types here


def offer_flash(loaded: Loaded, *, groups: int) -> bool:
    """Make FlashAttention known to transformers by `FLASH`, if it is there and right on this model's device.

    Args:
        groups: heads that share one head of KV.
    """
    found = kernel()
    if found is None or loaded.device.type != "cuda" or loaded.dtype not in (torch.float16, torch.bfloat16):
        return False
    if not agrees(found, loaded.device, loaded.dtype, head_dim=loaded.head_dim, groups=groups):
        return False
    register(found)
    return True


def register(found: Kernel) -> None:
    """Make a kernel known to transformers by `FLASH`."""

    def attend(
        module: Any,  # noqa: ANN401 - transformers has no types
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        rows: Rows | None = None,
        **given: Any,  # noqa: ANN401 - likewise
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if rows is None:
            whole: tuple[torch.Tensor, None] = sdpa_attention_forward(
                module, query, key, value, attention_mask, **given
            )
            return whole
        lengths = rows.lengths(key.device)
        attended = over_rows(
            found, query, key, value, lengths, scale=given.get("scaling"), window=given.get("sliding_window")
        )
        return attended, None

    AttentionInterface.register(FLASH, attend)
    AttentionMaskInterface.register(FLASH, sdpa_mask)


def over_rows(
    found: Kernel,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: torch.Tensor,
    *,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Return what new tokens, the last ones of their rows, see.

    Args:
        query: shape (rows, heads, new, dim).
        key: shape (rows, KV heads, positions, dim); what lies beyond a row's length is not read.
        lengths: of each row with its new tokens, int32.
        window: how many tokens one sees, itself among them; None sees all before it.

    Returns:
        shape (rows, new, heads, dim).
    """
    count, heads, new, dim = query.shape
    positions = key.shape[2]
    steps = torch.arange(count + 1, dtype=torch.int32, device=query.device)
    attended = found(
        query.transpose(1, 2).reshape(count * new, heads, dim),
        key.transpose(1, 2).reshape(count * positions, key.shape[1], dim),
        value.transpose(1, 2).reshape(count * positions, value.shape[1], dim),
        steps * new,
        steps * positions,
        new,
        positions,
        scale=scale,
        window_size=(-1, 0) if window is None else (window - 1, 0),
        enable_gqa=key.shape[1] != heads,
        seqused_k=lengths,
    )
    return attended.reshape(count, new, heads, dim)


def agrees(found: Kernel, device: "torch.device", dtype: "torch.dtype", *, head_dim: int, groups: int) -> bool:
    """Tell whether a kernel gives what SDPA gives, for rows of different lengths, with a window and without."""
    chance = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=chance).to(device, dtype)

    key, value = numbers(3, 2, 96, head_dim), numbers(3, 2, 96, head_dim)
    lengths = torch.tensor([96, 40, 7], dtype=torch.int32, device=device)
    for new, window in ((1, None), (5, None), (1, 16), (5, 16)):
        query = numbers(3, 2 * groups, new, head_dim)
        truth = _plain(query, key, value, lengths, window)
        try:
            given = over_rows(found, query, key, value, lengths, scale=head_dim**-0.5, window=window)
        except (RuntimeError, TypeError, ValueError):  # this device, this build or this version has it not
            return False
        apart = (given.float() - truth).pow(2).mean().sqrt()
        if not apart <= _APART * truth.pow(2).mean().sqrt():
            return False
    return True


def _plain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: torch.Tensor, window: int | None
) -> torch.Tensor:
    groups, new = query.shape[1] // key.shape[1], query.shape[2]
    places = lengths[:, None] - new + torch.arange(new, device=query.device)
    seen = torch.arange(key.shape[2], device=query.device)
    mask = seen <= places[:, None, :, None]
    if window is not None:
        mask = mask & (seen > places[:, None, :, None] - window)
    keys, values = (part.float().repeat_interleave(groups, dim=1) for part in (key, value))
    attended: torch.Tensor = scaled_dot_product_attention(query.float(), keys, values, attn_mask=mask)
    return attended.transpose(1, 2)
