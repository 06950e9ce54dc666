"""One prompt -> seconds to its first logits, with prefix KV or without, and what storing KV costs in accuracy.

For measuring alone: one forward on transformers' own cache, without batching. Whoever measures across processes calls
`first_logits` in each.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from backends.engines.torch_engine.base import Export, Layers, Loaded, Prefixes, PrefixKv
from backends.engines.torch_engine.kv_storage import STORAGES, KvLayout, Storage


@dataclass(frozen=True, slots=True)
class FirstLogits:
    """What one prompt took.

    Attributes:
        seconds: to look for a prefix, load it, and compute the rest.
        found: tokens that were not computed.
        logits: of the first answered token, shape (vocabulary,), float32.
    """

    seconds: float
    found: int
    logits: Tensor


@dataclass(frozen=True, slots=True)
class StorageCost:
    """What one way of storing KV costs, over all tokens after a stored prefix.

    Attributes:
        bytes_per_token: of stored KV.
        logit_difference: the largest, against no stored KV at all.
        agreement: share of tokens whose most likely successor stays the same.
    """

    bytes_per_token: float
    logit_difference: float
    agreement: float


def first_logits(loaded: Loaded, prompt: Sequence[int], prefixes: Prefixes | None, *, salt: str) -> FirstLogits:
    """Compute a prompt up to its first logits, with what is found of it, and keep what is new."""
    began = time.perf_counter()
    found = prefixes.find(prompt, adapter="", salt=salt) if prefixes else None
    looked = time.perf_counter()
    cache = cache_of(found)
    logits = logits_after(loaded, prompt, cache)[-1]
    ended = time.perf_counter()
    start = found.tokens if found else 0
    if prefixes:
        computed = len(prompt) - start
        prefixes.keep(prompt, adapter="", salt=salt, export=export_of(cache), computed=computed, seconds=ended - looked)
    return FirstLogits(ended - began, start, logits)


def storage_costs(loaded: Loaded, prompt: Sequence[int], *, page: int) -> dict[Storage, StorageCost]:
    """Return what each way of storing the first half of a prompt costs the second half."""
    blocks = len(prompt) // 2 // page
    stop = blocks * page
    cache = DynamicCache()
    truth = logits_after(loaded, prompt, cache, keep=len(prompt) - stop)
    kv = torch.stack([torch.stack(layer) for layer in export_of(cache)(0, stop)]).cpu()
    costs: dict[Storage, StorageCost] = {}
    for storage in STORAGES:
        layout = KvLayout(len(loaded.windows), loaded.kv_heads, loaded.head_dim, page, loaded.dtype, storage)
        stored = layout.decode(layout.encode(kv), loaded.device)
        restored = cache_of(PrefixKv(stop, tuple((layer[0], layer[1]) for layer in stored)))
        logits = logits_after(loaded, prompt, restored, keep=len(prompt) - stop)
        costs[storage] = StorageCost(
            bytes_per_token=layout.block_bytes / page,
            logit_difference=float((logits - truth).abs().max()),
            agreement=float((logits.argmax(-1) == truth.argmax(-1)).float().mean()),
        )
    return costs


def cache_of(prefix: PrefixKv | None) -> DynamicCache:
    """Return a cache that holds a prefix; every layer holds all positions, and the mask hides what a window does."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefix.layers if prefix else ()):
        cache.update(keys[None], values[None], layer)
    return cache


def export_of(cache: DynamicCache) -> Export:
    """Return what gives KV of the one sequence in a cache that `cache_of` made."""

    def export(start: int, stop: int) -> Layers:
        return tuple((layer.keys[0, :, start:stop], layer.values[0, :, start:stop]) for layer in cache.layers)

    return export


def logits_after(loaded: Loaded, prompt: Sequence[int], cache: DynamicCache, *, keep: int = 1) -> Tensor:
    """Compute what the cache does not hold yet; return logits of the last tokens, shape (keep, vocabulary), float32."""
    start = cache.get_seq_length()
    with torch.inference_mode():
        logits: Tensor = loaded.model(
            input_ids=torch.tensor([prompt[start:]], device=loaded.device),
            position_ids=torch.arange(start, len(prompt), device=loaded.device)[None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        ).logits
        return logits[0].float().cpu()
