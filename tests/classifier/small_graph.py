"""Words with weights -> an encoder's folder whose logit is the sum of the weights, made without torch or onnx.

The graph is written as the bytes of its protobuf: gather a weight for each token, mask, sum.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from classifier.calibrating.maps import Platt
from classifier.encoding.folder import Figures, Folder, write_folder

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
PAD_WEIGHT = 7.0  # shows where padding counts, or where a prompt's "[PAD]" is taken for it
FLOAT, INT64 = 1, 7  # ONNX's numbers of types


def folder(weights: Mapping[str, float], *, known: int | None = None) -> Folder:
    """Return a folder; the graph has rows for the first `known` tokens only, None means for all."""
    vocabulary = [*SPECIAL, *weights]
    table = [PAD_WEIGHT, 0.0, 0.0, 0.0, *weights.values()]
    figures = Figures("test", "1", 64, 1, 2, 0, Platt(1.0, -1.0, (0.01, 0.0, 0.0, 0.01)), 0.25, 0.5, {"rows": 9})
    return Folder(figures, graph(table[:known]), tokenizer(vocabulary))


def written(path: Path, weights: Mapping[str, float], *, known: int | None = None) -> Path:
    """Write such a folder and return its path."""
    write_folder(folder(weights, known=known), path, card="# test\n")
    return path


def tokenizer(vocabulary: list[str]) -> bytes:
    """Return a tokenizer of words, in which each Chinese character is one."""
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": place,
                    "content": word,
                    "special": True,
                    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
                }
                for place, word in enumerate(SPECIAL)
            ],
            "normalizer": {
                "type": "BertNormalizer",
                **dict.fromkeys(("clean_text", "handle_chinese_chars", "lowercase"), True),
                "strip_accents": None,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "WordLevel",
                "vocab": {word: place for place, word in enumerate(vocabulary)},
                "unk_token": "[UNK]",
            },
        }
    ).encode()


def graph(table: list[float], *, output: str = "logits") -> bytes:
    """Return an ONNX model: ids and mask of shape (rows, tokens) -> sums of the table's entries, shape (rows,)."""
    nodes = (
        _node("Gather", ["table", "input_ids"], "found"),
        _node("Cast", ["attention_mask"], "mask", _text(1, "to") + _number(3, FLOAT) + _number(20, 2)),
        _node("Mul", ["found", "mask"], "kept"),
        _node("ReduceSum", ["kept", "axes"], output, _text(1, "keepdims") + _number(3, 0) + _number(20, 2)),
    )
    tensors = (
        _tensor("table", FLOAT, struct.pack(f"<{len(table)}f", *table), len(table)),
        _tensor("axes", INT64, struct.pack("<q", 1), 1),
    )
    content = b"".join(_field(1, node) for node in nodes) + _text(2, "sum")
    content += b"".join(_field(5, tensor) for tensor in tensors)
    content += b"".join(_field(11, _value(name, INT64, "rows", "tokens")) for name in ("input_ids", "attention_mask"))
    content += _field(12, _value(output, FLOAT, "rows"))
    return _number(1, 8) + _field(7, content) + _field(8, _number(2, 17))


def _node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    content = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, kind)
    return content + (_field(5, attribute) if attribute else b"")


def _tensor(name: str, kind: int, content: bytes, size: int) -> bytes:
    return _number(1, size) + _number(2, kind) + _text(8, name) + _field(9, content)


def _value(name: str, kind: int, *axes: str) -> bytes:
    shape = b"".join(_field(1, _text(2, axis)) for axis in axes)
    return _text(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))


def _text(place: int, content: str) -> bytes:
    return _field(place, content.encode())


def _field(place: int, content: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(content)) + content


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
