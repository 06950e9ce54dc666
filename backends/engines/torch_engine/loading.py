"""Folder or name on the hub -> model that can be computed, or the reason why not.

What can be known from configuration and tokenizer is checked before any weight is read. What was read is tried once: a
model whose answers change with who shares its batch is not served.
"""

import hashlib
import re
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils.logging import disable_progress_bar

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.gguf_head import MAGIC
from backends.engines.torch_engine.attention import FLASH, offer_flash
from backends.engines.torch_engine.base import Loaded, first_line
from backends.engines.torch_engine.forwards import Forwards
from backends.engines.torch_engine.tokenising import Tokenizer, open_tokenizer

_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_FILES: Final = ("*.json", "*.safetensors", "*.model", "*.model.v*", "*.jinja")
_NOT_FILES: Final = ("consolidated*", "*/*")
"""Mistral's repositories hold the same weights twice, once for an engine of its own."""

_CAUSAL: Final = frozenset(
    name
    for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    for name in ((names,) if isinstance(names, str) else names)
)

_SERVED_LAYERS: Final = {"full_attention", "sliding_attention"}
_LEAST_COVER: Final = 0.9
"""Share of the embeddings that a tokenizer's ids must name; embeddings are padded by less."""

_COMPUTED: Final = "inv_freq"
"""A tensor that old checkpoints hold, and that is computed today."""

_MISMATCH: Final = "ignore_mismatched_sizes"
"""What transformers says of shapes that differ; which, it says on standard error."""

_LEAST_CONTEXT: Final = 8
_TRIED: Final = 24
"""Tokens of the longer prompt that a model is tried with."""

_APART_32: Final = 0.01
_APART_16: Final = 0.5
"""Root mean square of what logits may differ by, as a share of how far they spread. Unrelated logits have 1.4; with 16
bits a token now and then goes to another expert."""


def load_model(options: EngineOptions, *, dtype: "torch.dtype | None" = None) -> Loaded:
    """Return a model on the accelerators that there are, else on the CPU.

    Args:
        dtype: of weights and KV; None takes that of the weights, and float32 where a CPU would be asked for float16.

    Raises:
        ModelRefused: it cannot be served.
    """
    torch.set_num_threads(options.threads)
    folder = _folder(options.model)
    config = _config(folder)
    windows = _windows(config)
    tokenizer = open_tokenizer(folder)
    _check_vocabulary(tokenizer, config, folder)
    digest = _Digest(folder)
    model = _read(folder, config, dtype or _dtype(config))
    text = config.get_text_config()
    parameter = next(model.parameters())
    loaded = Loaded(
        model=model,
        tokenizer=tokenizer,
        context=_context(text, options.context),
        digest=digest.value(),
        device=parameter.device,
        dtype=parameter.dtype,
        windows=windows,
        kv_heads=getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        ends=_ends(model, tokenizer),
    )
    groups = text.num_attention_heads // loaded.kv_heads
    if _attention(config) == "sdpa" and offer_flash(loaded, groups=groups):
        model.set_attn_implementation(FLASH)
    _try_out(loaded)
    if options.quantise:
        from backends.engines.torch_engine.quantise import quantised  # noqa: PLC0415 - of use to few

        return quantised(loaded, options)
    return loaded


def _folder(model: Path) -> Path:
    if model.is_file():
        with model.open("rb") as file:
            magic = file.read(len(MAGIC))
        if magic == MAGIC or model.suffix == ".gguf":
            raise ModelRefused(
                f"{model} is a GGUF file: serve it with --engine llama_cpp; transformers would read a mixture of"
                " experts in it as a dense model, without a word"
            )
        raise ModelRefused(f"{model} is a file: give the folder with config.json and *.safetensors")
    if not model.exists() and _HUB_NAME.fullmatch(str(model)):
        return _from_hub(str(model))
    if not model.is_dir():
        raise ModelRefused(f"there is no folder {model}: give a folder, or a name on the hub such as owner/name")
    if not (model / "config.json").is_file():
        if any(model.glob("*.gguf")):
            raise ModelRefused(f"{model} holds GGUF files and no config.json: serve one with --engine llama_cpp")
        raise ModelRefused(f"{model} holds no config.json: give a folder as save_pretrained writes it")
    return model


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - loads an HTTP client

    try:
        folder = snapshot_download(name, allow_patterns=list(_FILES), ignore_patterns=list(_NOT_FILES))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ModelRefused(
            f"neither a folder nor to be had from the hub: {name}: {first_line(error)}; give a folder, or a token in"
            " HF_TOKEN where the model is not open to all"
        ) from error
    return Path(folder)


def _config(folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise ModelRefused(f"cannot read {folder / 'config.json'}: {first_line(error)}") from error
    own = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    named = tuple(config.architectures or ())
    if own is None or (named and not _CAUSAL & set(named)) or getattr(config, "is_encoder_decoder", False):
        what = ", ".join(named) or config.model_type
        raise ModelRefused(f"{folder} holds {what}, no causal language model: give one that answers with text")
    if not any(folder.glob("*.safetensors")):
        raise ModelRefused(f"{folder} holds no *.safetensors: weights of other formats are not read")
    return config


def _windows(config: Any) -> tuple[int | None, ...]:  # noqa: ANN401 - likewise
    text = config.get_text_config()
    layers: int = text.num_hidden_layers
    window: int | None = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    if kinds is None:
        return (window,) * layers
    if not set(kinds) <= _SERVED_LAYERS:
        others = ", ".join(sorted(set(kinds) - _SERVED_LAYERS))
        raise ModelRefused(f"{config.model_type} has layers of {others}, whose state is no KV: it is not served here")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _check_vocabulary(tokenizer: Tokenizer, config: Any, folder: Path) -> None:  # noqa: ANN401 - likewise
    rows = config.get_text_config().vocab_size
    if not _LEAST_COVER * rows <= tokenizer.size <= rows:
        raise ModelRefused(
            f"the tokenizer of {folder} has {tokenizer.size} tokens, but the model has embeddings for {rows}:"
            " it is another model's"
        )


def _dtype(config: Any) -> "torch.dtype":  # noqa: ANN401 - likewise
    own = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None) or torch.float32
    on_cpu = not torch.cuda.is_available()
    return torch.float32 if on_cpu and own is torch.float16 else own


def _read(folder: Path, config: Any, dtype: "torch.dtype") -> Any:  # noqa: ANN401 - likewise
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    disable_progress_bar()
    placed = {"device_map": "auto" if cards > 1 else {"": 0}} if cards else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside transformers are not the reader's affair
            model, told = AutoModelForCausalLM.from_pretrained(
                folder, config=config, dtype=dtype, local_files_only=True, use_safetensors=True,
                attn_implementation=_attention(config), output_loading_info=True, **placed,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        why = "they have other shapes than config.json says" if _MISMATCH in str(error) else first_line(error)
        raise ModelRefused(f"cannot load the weights of {folder}: {why}") from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise ModelRefused(f"the weights of {folder} lack {len(missing)} tensors, such as {missing[0]}")
    spare = sorted(name for name in told["unexpected_keys"] if not name.endswith(_COMPUTED))
    if spare:
        raise ModelRefused(
            f"the weights of {folder} hold {len(spare)} tensors that its config.json has no place for, such as"
            f" {spare[0]}: it is another model's"
        )
    return model.eval()


def _attention(config: Any) -> str:  # noqa: ANN401 - likewise
    """Return SDPA, or eager where logits of attention are capped, which SDPA does not do."""
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return "eager" if capped else "sdpa"


def _context(text: Any, wanted: int) -> int:  # noqa: ANN401 - likewise
    """Return how many tokens may be asked for; never so many that positions would be scaled by the longest row."""
    if wanted < _LEAST_CONTEXT:
        raise ModelRefused(f"a context of {wanted} tokens holds no prompt and answer: take {_LEAST_CONTEXT} or more")
    trained = getattr(text, "max_position_embeddings", None) or wanted
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        trained = min(trained, rope.get("original_max_position_embeddings") or trained)
    return min(wanted, trained)


def _ends(model: Any, tokenizer: Tokenizer) -> frozenset[int]:  # noqa: ANN401 - likewise
    own = model.generation_config.eos_token_id if model.generation_config is not None else None
    own = model.config.get_text_config().eos_token_id if own is None else own
    return tokenizer.ends | frozenset((own,) if isinstance(own, int) else own or ())


class _Digest:
    """Digest of configuration and weights, computed while they are loaded.

    A file of the hub's cache is named by its digest, and is not read for it again.
    """

    def __init__(self, folder: Path) -> None:
        self._files = sorted((*folder.glob("*.safetensors"), folder / "config.json"))
        self._value = b""
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._compute, name="torch-digest", daemon=True)
        self._thread.start()

    def value(self) -> bytes:
        """Return 32 bytes.

        Raises:
            ModelRefused: a file could not be read to its end, though it was there.
        """
        self._thread.join()
        if self._error is not None:
            raise ModelRefused(f"{self._error.filename}: cannot be read: {self._error.strerror}") from self._error
        return self._value

    def _compute(self) -> None:
        whole = hashlib.sha256()
        try:
            for file in self._files:
                blob = file.resolve().name
                named = file.is_symlink() and re.fullmatch("[0-9a-f]{64}", blob)
                whole.update(file.name.encode() + b"\0" + (bytes.fromhex(blob) if named else _sha256(file)))
        except OSError as error:  # told to whoever asks for the value; nobody does where loading failed before
            self._error = error
        self._value = whole.digest()


def _sha256(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _try_out(loaded: Loaded) -> None:
    """Compute two prompts together, in pieces, and each alone as transformers does it.

    Raises:
        ModelRefused: the results differ.
    """
    span, size = min(_TRIED, loaded.context), loaded.tokenizer.size
    prompts = [[one % size for one in range(5, 5 + length)] for length in (span, span // 2)]
    try:
        with torch.inference_mode():
            plain = [
                loaded.model(input_ids=torch.tensor([prompt], device=loaded.device)).logits[0, -1, :size].float()
                for prompt in prompts
            ]
            shared = _together(loaded, prompts)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        kind = loaded.model.config.model_type
        raise ModelRefused(f"{kind} cannot be computed in batches here: {first_line(error)}") from error
    spread = max(float(logits.std()) for logits in plain)
    apart = max(float((one - other).pow(2).mean().sqrt()) for one, other in zip(plain, shared, strict=True))
    if not apart <= (_APART_32 if loaded.dtype is torch.float32 else _APART_16) * max(spread, 1e-6):
        raise ModelRefused(
            f"{loaded.model.config.model_type} answers differently in a batch (logits {apart:.3g} apart, where they"
            f" spread {spread:.3g}): its attention is none that is served here, or its weights are no numbers"
        )


def _together(loaded: Loaded, prompts: Sequence[Sequence[int]]) -> "list[torch.Tensor]":
    forwards = Forwards(loaded)
    cache = forwards.cache()
    heads = [len(prompt) // 2 for prompt in prompts]
    forwards.compute(
        cache, [0, 1], [prompt[:head] for prompt, head in zip(prompts, heads, strict=True)], starts=[0, 0], keep=[0, 0]
    )
    rests = [prompt[head:] for prompt, head in zip(prompts, heads, strict=True)]
    logits = forwards.compute(cache, [0, 1], rests, starts=heads, keep=[len(rest) - 1 for rest in rests])
    return list(logits)
