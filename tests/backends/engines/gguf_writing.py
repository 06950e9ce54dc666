"""Small GGUF files: damaged ones, foreign ones, and LoRA adapters of random numbers."""

import struct
from math import prod
from pathlib import Path

import numpy as np

from backends.engines.gguf_head import read_head

Entry = str | int | float | list[str]

_ALIGNMENT = 32


def head(*, entries: dict[str, Entry], tensors: dict[str, tuple[int, ...]] | None = None) -> bytes:
    """Return a file's head, its tensors all in float32, one behind the other and aligned; their bytes come after it."""
    tensors = tensors or {}
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(entries))]
    for name, value in entries.items():
        parts += [_text(name), _entry(value)]
    offset = 0
    for name, shape in tensors.items():
        parts += [_text(name), struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)]
        offset += _aligned(4 * prod(shape))
    written = b"".join(parts)
    return written.ljust(_aligned(len(written)), b"\0") if tensors else written


def write_adapter(path: Path, base: Path, *, seed: int, rank: int = 4, scale: float = 0.3) -> Path:
    """Write a LoRA adapter that changes what attention reads and writes."""
    chance = np.random.default_rng(seed)
    sides: dict[str, tuple[int, ...]] = {}
    for name, (wide, high, *_) in (pair for pair in read_head(base).tensors.items() if len(pair[1]) > 1):
        if any(part in name for part in ("attn_q", "attn_v", "attn_output")):
            sides |= {f"{name}.lora_a": (wide, rank), f"{name}.lora_b": (rank, high)}
    entries: dict[str, Entry] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(rank),
    }
    numbers = [(chance.standard_normal(prod(shape)) * scale).astype("<f4").tobytes() for shape in sides.values()]
    padded = b"".join(values.ljust(_aligned(len(values)), b"\0") for values in numbers)
    path.write_bytes(head(entries=entries, tensors=sides) + padded)
    return path


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _entry(value: Entry) -> bytes:
    match value:
        case str():
            return struct.pack("<I", 8) + _text(value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case _:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
