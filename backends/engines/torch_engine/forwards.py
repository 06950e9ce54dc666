"""Token ids and rows -> logits, many answers in one forward.

Each row has its own length, so positions and mask are said explicitly. Padding at the right is computed and forgotten:
what it leaves in a row lies beyond that row's length, and is overwritten before any mask shows it.
"""

import inspect
from collections.abc import Sequence

import torch

from backends.engines.torch_engine.attention import FLASH
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.rows import Rows


class Forwards:
    """What computes one model.

    Attributes:
        count: forwards so far.
        flash: whether attention is FlashAttention's.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        attention = loaded.model.config._attn_implementation  # noqa: SLF001 - nothing else says it
        self._additive, self.flash = attention == "eager", attention == FLASH
        self._keeps = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        self.count = 0

    def cache(self) -> Rows:
        """Return an empty cache."""
        return Rows(len(self._loaded.windows), context=self._loaded.context, whole=self.flash)

    def compute(
        self,
        cache: Rows,
        rows: list[int],
        ids: Sequence[Sequence[int]],
        *,
        starts: list[int],
        keep: Sequence[int] | None,
    ) -> torch.Tensor:
        """Compute new tokens of some rows.

        Args:
            rows: which, in rising order.
            ids: new tokens of each; shorter ones are padded.
            starts: for each row the position of its first new token.
            keep: for each row which one of its new tokens' logits is wanted; None wants those of all tokens.

        Returns:
            shape (rows, vocabulary), or (rows, new, vocabulary) where `keep` is None; float32. What embeddings have
            beyond the tokenizer's ids is left out.
        """
        device = self._loaded.device
        new = max(len(row) for row in ids)
        padded = [[*row, *[0] * (new - len(row))] for row in ids]
        span = cache.begin(rows, starts, new=new)
        positions = torch.tensor(starts, device=device)[:, None] + torch.arange(new, device=device)
        kept = list(range(new)) if keep is None or not self._keeps else sorted(set(keep))
        self.count += 1
        logits: torch.Tensor = self._loaded.model(
            input_ids=torch.tensor(padded, device=device),
            attention_mask=self._masks(positions, span),
            position_ids=positions.clamp(max=self._loaded.context - 1),  # padding alone may lie beyond
            past_key_values=cache,
            use_cache=True,
            **({"logits_to_keep": torch.tensor(kept, device=device)} if self._keeps else {}),
            **({"rows": cache} if self.flash else {}),
        ).logits[..., : self._loaded.tokenizer.size]
        if keep is None:
            return logits.float()
        if len(kept) == 1:
            return logits[:, 0].float()
        which = torch.tensor([kept.index(one) for one in keep], device=logits.device)
        return logits[torch.arange(len(rows), device=logits.device), which].float()

    def _masks(self, positions: torch.Tensor, span: int) -> "torch.Tensor | dict[str, torch.Tensor]":
        """Return what each new token sees, shape (rows, 1, new, span), for each kind of layer that there is."""
        windows = sorted(set(self._loaded.windows), key=lambda window: window or 0)
        masks = [self._mask(positions, span, window) for window in windows]
        if len(masks) == 1:
            return masks[0]
        return {"full_attention": masks[0], "sliding_attention": masks[1]}

    def _mask(self, positions: torch.Tensor, span: int, window: int | None) -> torch.Tensor:
        if self.flash:  # looks at lengths; some mask must be there, or transformers makes one
            return torch.ones((1, 1, 1, 1), dtype=torch.bool, device=positions.device)
        seen = torch.arange(span, device=positions.device)
        mask = seen <= positions[:, None, :, None]
        if window is not None:
            mask = mask & (seen > positions[:, None, :, None] - window)
        if not self._additive:
            return mask
        lowest = torch.finfo(self._loaded.dtype).min
        return torch.zeros(mask.shape, dtype=self._loaded.dtype, device=mask.device).masked_fill(~mask, lowest)
