"""A GGUF file -> what its head says of the model, its tokenizer and its tensors.

Reads the head alone, within the file's own bounds, and no weights; knows no engine. Whether a model can be served is
another's affair (`llama_server/gguf_checks.py`).

Source: the GGUF specification, versions 2 and 3, as in the ggml project's `docs/gguf.md`.
"""

import hashlib
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

from backends.engines.base import ModelRefused

MAGIC: Final = b"GGUF"
"""What such a file begins with."""

MAX_ENTRIES: Final = 65_536
"""Metadata of one file; a model has tens."""

MAX_TENSORS: Final = 1_048_576
"""Tensors of one file; the largest models have thousands."""

BASE_NORMS: Final = "tandem.base.norms"
"""In an adapter, the digest of the norms of the model that it was made for."""

MAX_DIMENSIONS: Final = 8
"""Of one tensor; ggml has four."""

_VERSIONS: Final = (2, 3)
_STRING: Final = 8
_ARRAY: Final = 9
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MAX_DEPTH: Final = 4  # of arrays within arrays
_ALIGNMENT: Final = 32  # where the file does not say
_F32: Final = 0
_NORM: Final = "norm.weight"
# Of each kind of tensor: values of one block, bytes of one block. A kind that is not here is not measured.
_BLOCKS: Final = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    30: (1, 2),  # BF16
}
_FILE_TYPES: Final = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What a GGUF file says of itself.

    Attributes:
        path: the file.
        kind: "model", "adapter" or another of the format's; "model" where it does not say.
        architecture: llama.cpp's name for it; "" where it does not say.
        context: tokens that it was trained for; 0 where it does not say.
        experts: of each layer; 0 for a dense model.
        window: tokens that attention slides over; 0 for all.
        file_type: how most weights are kept, such as "Q8_0"; a number for a kind unknown here.
        tokenizer: its kind, such as "gpt2" or "llama"; "" where there is none.
        marks: ids of the tokens that begin and end a text; None where it does not say.
        tokens: the vocabulary, in the order of ids.
        tensors: each tensor's dimensions by name, the one that runs fastest first.
        adapter_kind: "lora" and so on; "" where the file is no adapter.
        norms: a digest of its norms, by the order of their names; every quantisation leaves them as they are, and no
            two models have the same. "" where there are none in full precision.
        base_norms: of the model that an adapter was made for; "" where it does not say.
        missing: bytes that its tensors lie beyond the file's end; 0 where it is whole.
    """

    path: Path
    kind: str
    architecture: str
    context: int
    experts: int
    window: int
    file_type: str
    tokenizer: str
    marks: tuple[int | None, int | None]
    tokens: tuple[bytes, ...]
    tensors: dict[str, tuple[int, ...]]
    adapter_kind: str
    norms: str
    base_norms: str
    missing: int


def check_is_gguf(path: Path) -> None:
    """Look at a file's first bytes alone.

    Raises:
        ModelRefused: it cannot be read, or is no GGUF file.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe would wait for ever
            raise ModelRefused(f"{path} is a pipe or a device: give the path of a GGUF file")
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise _unreadable(path, error) from error
    if magic != MAGIC:
        raise ModelRefused(f"{path} is no GGUF file, it begins with {magic!r}; convert it with llama.cpp's converter")


def read_head(path: Path) -> GgufHead:
    """Return what the file's head says.

    Raises:
        ModelRefused: it cannot be read, is no GGUF file, or ends within its head.
    """
    check_is_gguf(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _head(path, _Reader(data))
    except OSError as error:
        raise _unreadable(path, error) from error
    except (struct.error, EOFError) as error:
        raise ModelRefused(f"{path} is cut short: its head says that there is more; copy the file again") from error
    except _Malformed as error:
        raise ModelRefused(f"{path} is a damaged GGUF file: {error}; copy or convert it again") from error


def _unreadable(path: Path, error: OSError) -> ModelRefused:
    return ModelRefused(f"cannot read model file {path}: {error.strerror}; give the path of a GGUF file")


class _Malformed(ValueError):
    """The head says what no writer of the format would."""


class _Reader:
    """Walks over little-endian values; never past the end."""

    __slots__ = ("_data", "at", "size")

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.at, self.size = data, len(MAGIC), len(data)

    def number(self, code: str) -> Any:  # noqa: ANN401 - what the format's code says
        (value,) = struct.unpack_from(f"<{code}", self._data, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def digest(self, places: list[tuple[int, int]]) -> str:
        """Return a digest of what stands at these places; "" where there are none, or they lie beyond the end."""
        if not places or max(begin + size for begin, size in places) > self.size:
            return ""
        return hashlib.sha256(b"".join(self._data[begin : begin + size] for begin, size in places)).hexdigest()

    def text(self) -> bytes:
        length: int = self.number("Q")
        begin, self.at = self.at, self.at + length
        if self.at > self.size:
            raise EOFError
        return self._data[begin : self.at]

    def value(self, kind: int, *, depth: int = 0) -> Any:  # noqa: ANN401 - the file says of what type it is
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array(depth)
        if kind not in _NUMBERS:
            raise _Malformed(f"there is no type of value {kind}")
        return self.number(_NUMBERS[kind])

    def _array(self, depth: int) -> tuple[Any, ...]:
        kind, length = self.number("I"), self.number("Q")
        if depth > _MAX_DEPTH:
            raise _Malformed("arrays lie too deep within each other")
        if kind in _NUMBERS:
            code = f"<{length}{_NUMBERS[kind]}"
            values = struct.unpack_from(code, self._data, self.at)
            self.at += struct.calcsize(code)
            return values
        return tuple(self.value(kind, depth=depth + 1) for _ in range(length))


def _head(path: Path, reader: _Reader) -> GgufHead:
    version = reader.number("I")
    if version not in _VERSIONS:
        raise _Malformed(f"version {version} is not known, only {' and '.join(map(str, _VERSIONS))} are")
    tensor_count, entry_count = reader.number("Q"), reader.number("Q")
    if tensor_count > MAX_TENSORS or entry_count > MAX_ENTRIES:
        raise _Malformed(f"{tensor_count} tensors and {entry_count} entries are too many")
    entries: dict[str, Any] = {}
    for _ in range(entry_count):
        name = reader.text().decode(errors="replace")
        entries[name] = reader.value(reader.number("I"))
    tensors, end, norms = _tensors(reader, tensor_count)
    alignment = _whole(entries, "general.alignment") or _ALIGNMENT
    begin = -(-reader.at // alignment) * alignment
    word = _words_of(entries)
    architecture = word("general.architecture")
    file_type = _whole(entries, "general.file_type")
    return GgufHead(
        path=path,
        kind=word("general.type") or "model",
        architecture=architecture,
        context=_whole(entries, f"{architecture}.context_length") or 0,
        experts=_whole(entries, f"{architecture}.expert_count") or 0,
        window=_whole(entries, f"{architecture}.attention.sliding_window") or 0,
        file_type="" if file_type is None else _FILE_TYPES.get(file_type, str(file_type)),
        tokenizer=word("tokenizer.ggml.model"),
        marks=(_whole(entries, "tokenizer.ggml.bos_token_id"), _whole(entries, "tokenizer.ggml.eos_token_id")),
        tokens=_texts(entries, "tokenizer.ggml.tokens"),
        tensors=tensors,
        adapter_kind=word("adapter.type"),
        norms=reader.digest([(begin + offset, size) for _, offset, size in sorted(norms)]),
        base_norms=word(BASE_NORMS),
        missing=max(0, begin + end - reader.size) if tensors else 0,
    )


def _tensors(reader: _Reader, count: int) -> tuple[dict[str, tuple[int, ...]], int, list[tuple[str, int, int]]]:
    """Return each tensor's dimensions, how many bytes all take from where the weights begin, and where norms stand."""
    found: dict[str, tuple[int, ...]] = {}
    norms: list[tuple[str, int, int]] = []
    end = 0
    for _ in range(count):
        name, dimensions = reader.text().decode(errors="replace"), reader.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise _Malformed(f"tensor {name!r} has {dimensions} dimensions")
        shape = tuple(reader.number("Q") for _ in range(dimensions))
        kind, offset = reader.number("I"), reader.number("Q")
        values, size = _BLOCKS.get(kind, (1, 0))
        found[name] = shape
        length = prod(shape) // values * size
        end = max(end, offset + length)
        if kind == _F32 and name.endswith(_NORM):
            norms.append((name, offset, length))
    return found, end, norms


def _words_of(entries: dict[str, Any]) -> Callable[[str], str]:
    def word(name: str) -> str:
        value = entries.get(name, b"")
        return value.decode(errors="replace") if isinstance(value, bytes) else ""

    return word


def _whole(entries: dict[str, Any], name: str) -> int | None:
    """Return a number; of one for each layer, the largest."""
    value = entries.get(name)
    if isinstance(value, tuple):
        value = max((number for number in value if isinstance(number, int)), default=None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(entries: dict[str, Any], name: str) -> tuple[bytes, ...]:
    value = entries.get(name, ())
    return value if isinstance(value, tuple) and all(isinstance(text, bytes) for text in value) else ()
