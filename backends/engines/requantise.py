"""GGUF file -> the same model in fewer bits a weight.

The numbers are rounded by llama.cpp's own quantiser, out of the library that computes with them later; the file is
written by the package `gguf`. Norms and the experts' router stay as they are. What did not shrink is refused and not
left behind; what the model has lost by it, `gguf_judging.py` measures. Needs the extra `[train]`.
"""

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quant_shape_to_byte_shape

from backends.engines.base import ModelRefused

_K_ROW: Final = 256
"""Weights that llama.cpp's kinds with a K hold in one block: a row must be a multiple of it."""

_BYTES_OF_16_BITS: Final = 2
_MATRIX: Final = 2  # dimensions, at least; experts have three
_OUTPUT: Final = ("token_embd.weight", "output.weight")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is stored.

    Attributes:
        kind: of its matrices.
        short: of matrices whose rows are no multiple of 256.
        output: of embedding and output layer, which cost most when they are rounded; 8 bits where rows are short.
        size: largest share of what the weights take in 16 bits.
        file_type: what the file says of itself.
    """

    kind: Kind
    short: Kind
    output: Kind
    size: float
    file_type: gguf.LlamaFileType


RECIPES: Final = {
    "f16": Recipe(Kind.F16, Kind.F16, Kind.F16, 1.0, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": Recipe(Kind.Q8_0, Kind.Q8_0, Kind.Q8_0, 0.55, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q6_k": Recipe(Kind.Q6_K, Kind.Q8_0, Kind.Q6_K, 0.55, gguf.LlamaFileType.MOSTLY_Q6_K),
    "q4_k": Recipe(Kind.Q4_K, Kind.Q5_0, Kind.Q6_K, 0.35, gguf.LlamaFileType.MOSTLY_Q4_K_S),
    "q4_0": Recipe(Kind.Q4_0, Kind.Q4_0, Kind.Q8_0, 0.35, gguf.LlamaFileType.MOSTLY_Q4_0),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a model's weights take: as they are stored, and as they would be in 16 bits."""

    bytes: int
    bytes_in_16_bits: int

    @property
    def share(self) -> float:
        """Return the one over the other."""
        return self.bytes / self.bytes_in_16_bits


def requantise(source: Path, target: Path, *, kind: str) -> Sizes:
    """Write a model once more, in another kind.

    Args:
        source: a GGUF file in float32, float16 or 8 bits; from fewer bits nothing good can come.
        kind: "f16", "q8_0", "q6_k", "q4_k" or "q4_0".

    Raises:
        ModelRefused: the source cannot be read, or the model did not shrink as this kind must; nothing is left behind.
    """
    recipe = RECIPES[kind]
    reader = _opened(source)
    _check_source(reader, source)
    partial = target.with_name(f"{target.name}.partial")
    try:
        in_16_bits = _write(reader, partial, recipe)
        sizes = Sizes(sum(int(tensor.n_bytes) for tensor in _opened(partial).tensors), in_16_bits)
        if sizes.share > recipe.size:
            raise ModelRefused(
                f"{source} does not shrink enough as {kind}: {sizes.bytes_in_16_bits:,} bytes in 16 bits became "
                f"{sizes.bytes:,}, {sizes.share:.2f} of it, and {recipe.size:.2f} is allowed; rows that are no "
                f"multiple of {_K_ROW} need more bits, so take q8_0"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return sizes


def _opened(path: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError) as error:
        raise ModelRefused(f"cannot read {path} as GGUF: {error}; give a whole GGUF file") from error


def _check_source(reader: gguf.GGUFReader, source: Path) -> None:
    for tensor in reader.tensors:
        if tensor.tensor_type not in (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0):
            kind = tensor.tensor_type.name
            raise ModelRefused(f"{source} holds {tensor.name} in {kind} already; convert from 32, 16 or 8 bits")


def _write(reader: gguf.GGUFReader, target: Path, recipe: Recipe) -> int:
    """Write all tensors and what is said of them; return how many bytes the tensors would take in 16 bits."""
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, told in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue  # the writer's own
        sub_type = told.types[-1] if told.types[0] is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, told.contents(), told.types[0], sub_type)
    writer.add_file_type(recipe.file_type)
    quantise, in_16_bits = _quantiser(), 0
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if values.ndim >= _MATRIX and "ffn_gate_inp" not in tensor.name:
            kind = _kind_of(tensor.name, values.shape[-1], recipe)
            writer.add_tensor(tensor.name, quantise(values, kind), raw_dtype=kind)
            in_16_bits += values.size * _BYTES_OF_16_BITS
        else:
            writer.add_tensor(tensor.name, values)
            in_16_bits += values.nbytes
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return in_16_bits


def _kind_of(name: str, row: int, recipe: Recipe) -> Kind:
    if name in _OUTPUT:
        return recipe.output if row % _K_ROW == 0 or recipe.output is Kind.F16 else Kind.Q8_0
    return recipe.kind if row % _K_ROW == 0 else recipe.short


def _quantiser() -> Callable[[np.ndarray, Kind], np.ndarray]:
    """Return llama.cpp's own function; it is not bound to Python, but the library hands it out."""
    library = ctypes.CDLL(importlib.import_module("xllamacpp.xllamacpp").__file__)
    try:
        rounding = library.ggml_quantize_chunk
    except AttributeError as error:
        raise ModelRefused("this build of xllamacpp does not hand out ggml_quantize_chunk; take 2026.10") from error
    rounding.restype = ctypes.c_size_t
    rounding.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def quantise(values: np.ndarray, kind: Kind) -> np.ndarray:
        given = np.ascontiguousarray(values, dtype=np.float32)
        rounded = np.empty(quant_shape_to_byte_shape(given.shape, kind), dtype=np.uint8)
        columns = given.shape[-1]
        written = rounding(kind, given.ctypes.data, rounded.ctypes.data, 0, given.size // columns, columns, None)
        if written != rounded.nbytes:
            raise ModelRefused(f"llama.cpp wrote {written} bytes of {kind.name} where {rounded.nbytes} were expected")
        return rounded

    return quantise
