"""KV of a prompt's first tokens, out of a store that outlives the process and into it.

Each block holds every position of its tokens, sliding window or not, so that whatever is found can go on, be cut back
and be kept again. Where the store is away, slow, or holds what is not ours, nothing is found, and the engine computes.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from backends.engines.base import KvStore
from backends.engines.prefix_kv.blocks import Namespace, block_keys, bytes_of, open_block, pack_block
from backends.engines.prefix_kv.break_even import BreakEven
from backends.engines.torch_engine.base import Export, Loaded, PrefixKv
from backends.engines.torch_engine.kv_storage import KvLayout, Storage

PAGE: Final = 16
"""Tokens of one block."""

BUDGET: Final = 0.05
"""Seconds that looking and fetching may take together."""

NO_ADAPTERS: Final[Mapping[str, Path]] = {}

_KNOWN: Final = 100_000  # keys of blocks that are in the store, as far as we know
_WAITING_BYTES: Final = 256 << 20  # of KV that waits to be encoded


def open_prefixes(
    loaded: Loaded,
    store: KvStore | None,
    *,
    adapters: Mapping[str, Path] = NO_ADAPTERS,
    storage: Storage = "exact",
    page: int = PAGE,
    within: float = BUDGET,
) -> "StoredPrefixes | None":
    """Return prefixes in a store; None without one.

    Args:
        store: stays the caller's, who closes it after the prefixes.
        adapters: where each lies; of one that is not here nothing is kept, since its weights may change.
        page: tokens of one block.
        within: seconds that `find` may wait for the store.
    """
    if store is None:
        return None
    layout = KvLayout(len(loaded.windows), loaded.kv_heads, loaded.head_dim, page, loaded.dtype, storage)
    engine = f"transformers {version('transformers')}"
    namespaces = {
        name: Namespace(loaded.digest, f"{loaded.dtype}/{storage}", adapter, page, engine)
        for name, adapter in {"": "", **{name: _digest_of(path) for name, path in adapters.items()}}.items()
    }
    return StoredPrefixes(store, layout, namespaces, device=loaded.device, within=within)


class StoredPrefixes:
    """A `torch_engine.base.Prefixes`; made by `open_prefixes`."""

    def __init__(
        self,
        store: KvStore,
        layout: KvLayout,
        namespaces: Mapping[str, Namespace],
        *,
        device: torch.device,
        within: float,
    ) -> None:
        self._store = store
        self._layout = layout
        self._namespaces = namespaces
        self._device = device
        self._within = within
        self._break_even = BreakEven(layout.block_bytes / layout.page)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefix kv encoder")
        self._waiting = 0
        self._asked_tokens = self._found_tokens = self._refused = self._kept = self._dropped = 0

    def __repr__(self) -> str:
        return f"<StoredPrefixes {self._found_tokens} of {self._asked_tokens} tokens found>"

    def find(self, prompt: Sequence[int], *, adapter: str, salt: str) -> PrefixKv | None:
        """Return KV of as many first tokens as is worth it, or None; leaves one token to be computed."""
        deadline = time.monotonic() + self._within
        ids = prompt[: (len(prompt) - 1) // self._layout.page * self._layout.page]
        keys = self._keys(ids, adapter, salt)
        if not keys:
            return None
        sizes = self._store.sizes(keys, within=self._within)
        self._note(keys, sizes)
        held = _leading(sizes)
        left = deadline - time.monotonic()
        with self._lock:
            self._asked_tokens += len(prompt)
            count = self._break_even.blocks(held, page=self._layout.page, within=left)
        if not count:
            return None
        began = time.monotonic()
        contents = self._fetch(keys[:count], ids, within=left)
        found = self._prefix(contents) if contents else None
        with self._lock:
            # Where nothing came in time, what was asked for took that long at least.
            self._break_even.saw_fetch(sum(held[: len(contents) or count]), time.monotonic() - began)
            self._found_tokens += found.tokens if found else 0
        return found

    def keep(
        self, ids: Sequence[int], *, adapter: str, salt: str, export: Export, computed: int, seconds: float
    ) -> None:
        """Copy KV of blocks that the store does not hold yet, to be encoded and put by a thread of its own."""
        page = self._layout.page
        keys = self._keys(ids, adapter, salt)
        with self._lock:
            self._break_even.saw_prefill(computed, seconds)
            first = next((i for i, key in enumerate(keys) if key not in self._known), len(keys))
            size = (len(keys) - first) * self._layout.block_bytes
            if not size or not self._break_even.keeps(len(keys) * page):
                return
            if self._waiting + size > _WAITING_BYTES:
                self._dropped += len(keys) - first
                return
            self._waiting += size
            self._remember(keys[first:])
        layers = [torch.stack(layer) for layer in export(first * page, len(keys) * page)]
        tokens = bytes_of(ids[first * page : len(keys) * page])
        self._writer.submit(self._put, keys[first:], tokens, layers, size)

    def gauges(self) -> dict[str, float]:
        """Return what it has found and kept, and what it has learned about when that pays."""
        with self._lock:
            return {
                "prefix_kv_asked_tokens_total": self._asked_tokens,
                "prefix_kv_found_tokens_total": self._found_tokens,
                "prefix_kv_kept_blocks_total": self._kept,
                "prefix_kv_dropped_blocks_total": self._dropped,
                "prefix_kv_refused_blocks_total": self._refused,
                "prefix_kv_bytes_per_token": self._layout.block_bytes / self._layout.page,
                **self._break_even.gauges(),
            }

    def close(self) -> None:
        """Hand what waits to the store and end."""
        self._writer.shutdown()

    def _keys(self, ids: Sequence[int], adapter: str, salt: str) -> list[bytes]:
        namespace = self._namespaces.get(adapter)
        return block_keys(namespace, salt, ids) if namespace else []

    def _fetch(self, keys: list[bytes], ids: Sequence[int], *, within: float) -> list[memoryview]:
        """Return the contents of first blocks, up to the first that is missing or not what its key says."""
        page = self._layout.page
        contents: list[memoryview] = []
        for place, value in enumerate(self._store.get(keys, within=max(within, 0.0))):
            if value is None:
                break
            tokens = bytes_of(ids[place * page : (place + 1) * page])
            content = open_block(value, tokens, size=self._layout.block_bytes)
            if content is None:
                with self._lock:
                    self._refused += 1
                    self._known.pop(keys[place], None)  # so that what is computed takes its place
                break
            contents.append(content)
        return contents

    def _prefix(self, contents: list[memoryview]) -> PrefixKv:
        kv = self._layout.decode(contents, self._device)
        return PrefixKv(len(contents) * self._layout.page, tuple((layer[0], layer[1]) for layer in kv))

    def _put(self, keys: list[bytes], tokens: bytes, layers: list[Tensor], size: int) -> None:
        try:
            contents = self._layout.encode(torch.stack([layer.cpu() for layer in layers]))
            step = len(tokens) // len(keys)
            blocks = (pack_block(tokens[i * step : (i + 1) * step], content) for i, content in enumerate(contents))
            self._store.put(list(zip(keys, blocks, strict=True)))
        finally:
            with self._lock:
                self._waiting -= size
        with self._lock:
            self._kept += len(keys)

    def _note(self, keys: list[bytes], sizes: Sequence[int | None]) -> None:
        """Learn what the store holds: what it has lost is kept again when it is next computed."""
        with self._lock:
            self._remember([key for key, size in zip(keys, sizes, strict=True) if size is not None])
            for key, size in zip(keys, sizes, strict=True):
                if size is None:
                    self._known.pop(key, None)

    def _remember(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)


def _leading(sizes: Sequence[int | None]) -> list[int]:
    held: list[int] = []
    for size in sizes:
        if size is None:
            break
        held.append(size)
    return held


def _digest_of(path: Path) -> str:
    """Return what tells an adapter's weights from all others, whatever its name."""
    digest = blake2b(digest_size=32)
    for file in sorted(each for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file()):
        with file.open("rb") as opened:
            digest.update(file.name.encode() + b"\0" + file_digest(opened, blake2b).digest())
    return digest.hexdigest()
