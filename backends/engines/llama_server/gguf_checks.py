"""GGUF files -> why llama.cpp cannot serve them, before it is loaded.

llama.cpp tells its reasons on standard error only, and calls each of them "failed to init server"; here each has its
own words. A file that no rule speaks against is left to llama.cpp, of whatever architecture it is.
"""

import importlib.util
import mmap
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.gguf_head import GgufHead, read_head

MAX_PADDING: Final = 128
"""Tokens by which two vocabularies may differ at their ends: padding to a round number, which llama.cpp allows."""

_MODEL: Final = "model"
_LORA_A: Final = ".lora_a"
_LORA_B: Final = ".lora_b"
_EMBEDDING: Final = "token_embd.weight"  # its adapters are turned round, which llama.cpp checks itself


def check_files(options: EngineOptions) -> GgufHead:
    """Return the model's head.

    Raises:
        ModelRefused: the model, its draft model or an adapter cannot be used; the text says which, why and what to do.
    """
    head = read_model(options.model)
    for name, path in options.adapters.items():
        check_adapter(name, read_head(path), base=head)
    if options.draft is not None:
        check_draft(read_model(options.draft), base=head)
    return head


def read_model(path: Path) -> GgufHead:
    """Return the head of a model that llama.cpp can load, as far as its head tells.

    Raises:
        ModelRefused: it cannot.
    """
    head = read_head(path)
    if head.kind != _MODEL:
        raise ModelRefused(f"{path} holds no model but an {head.kind}: give the model, and this with --adapter")
    if not head.architecture:
        raise ModelRefused(f"{path} does not say of what architecture it is: convert the model again")
    if not _is_known(head.architecture):
        raise ModelRefused(
            f"{path} is of the architecture {head.architecture!r}, which this llama.cpp does not know: "
            "take a newer xllamacpp, or another model"
        )
    if head.missing:
        raise ModelRefused(f"{path} is cut short by {head.missing} bytes: copy the file again")
    if not head.tokenizer or not head.tokens:
        raise ModelRefused(f"{path} holds no tokenizer: convert the model together with its tokenizer")
    return head


def check_adapter(name: str, adapter: GgufHead, *, base: GgufHead) -> None:
    """Check that a LoRA adapter was made for this model.

    Raises:
        ModelRefused: it was not, or is none.
    """
    whose = f"adapter {name!r} in {adapter.path}"
    if adapter.kind != "adapter" or adapter.adapter_kind != "lora":
        what = adapter.adapter_kind or adapter.kind
        raise ModelRefused(f"{whose} is no LoRA adapter but {what!r}: convert the adapter with llama.cpp's converter")
    if adapter.architecture != base.architecture:
        raise ModelRefused(
            f"{whose} was made for the architecture {adapter.architecture!r}, but the model is "
            f"{base.architecture!r}: give an adapter of this model"
        )
    if adapter.missing:
        raise ModelRefused(f"{whose} is cut short by {adapter.missing} bytes: copy the file again")
    wrong = _misfit(adapter, base)
    if adapter.base_norms and base.norms and adapter.base_norms != base.norms:
        wrong = wrong or "its shape is the same, but its norms are not"
    if wrong:
        raise ModelRefused(f"{whose} was made for another model: {wrong}; give an adapter of this model")


def check_draft(draft: GgufHead, *, base: GgufHead) -> None:
    """Check that a draft model speaks in the same tokens.

    Raises:
        ModelRefused: it does not.
    """
    reason = _other_tokens(draft, base)
    if reason:
        raise ModelRefused(
            f"tokenizer mismatch: draft model {draft.path} and model {base.path} {reason}; "
            "take a draft model of the same family"
        )


def _is_known(architecture: str) -> bool:
    """Tell whether the library holds the architecture's name; true where that cannot be found out."""
    name = architecture.encode() + b"\0"
    libraries = list(_libraries())
    for path in libraries:
        with (
            suppress(OSError, ValueError),
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            if data.find(name) >= 0:
                return True
    return not libraries


def _libraries() -> Iterable[Path]:
    """Yield the files of llama.cpp, which is not loaded for it: that takes longer, and cannot be undone."""
    spec = importlib.util.find_spec("xllamacpp")
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        yield from Path(folder).glob("*.so")


def _misfit(adapter: GgufHead, base: GgufHead) -> str:
    for name, shape in adapter.tensors.items():
        tensor, end = name.removesuffix(_LORA_A).removesuffix(_LORA_B), name[-len(_LORA_A) :]
        if end not in (_LORA_A, _LORA_B) or tensor == _EMBEDDING:
            continue
        if tensor not in base.tensors:
            return f"the model has no tensor {tensor!r}"
        side = 0 if end == _LORA_A else 1
        theirs, ours = shape[side : side + 1], base.tensors[tensor][side : side + 1]
        if theirs != ours:
            return f"{name!r} is {_of(theirs)} wide, the model's tensor {_of(ours)}"
    return "" if adapter.tensors else "it holds no tensors"


def _of(side: tuple[int, ...]) -> int:
    return side[0] if side else 1


def _other_tokens(draft: GgufHead, base: GgufHead) -> str:
    if draft.tokenizer != base.tokenizer:
        return f"have tokenizers of two kinds, {draft.tokenizer!r} and {base.tokenizer!r}"
    if abs(len(draft.tokens) - len(base.tokens)) > MAX_PADDING:
        return f"have vocabularies of {len(draft.tokens)} and {len(base.tokens)} tokens"
    if draft.marks != base.marks:
        return f"begin and end a text with tokens {draft.marks} and {base.marks}"
    shared = zip(draft.tokens, base.tokens, strict=False)
    other = next((place for place, (ours, theirs) in enumerate(shared) if ours != theirs), None)
    return "" if other is None else f"mean different texts by token {other}"
