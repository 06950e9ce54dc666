"""LoRA adapters beside one model -> which of them takes part in a forward.

All are loaded at the start, and checked: an adapter of another model has shapes that do not fit, or, worse, shapes that
do. Switching is a matter of flags. That KV of one adapter is of no use to another, batches and prefixes see to.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.base import Adapters, Loaded, first_line

_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_FRONT: Final = "base_model.model."  # of each name in the file


def open_adapters(loaded: Loaded, options: EngineOptions) -> Adapters:
    """Load what the options name into the model.

    Raises:
        ModelRefused: an adapter cannot be read, or was made for another model.
    """
    folders = [_Folder(name, path, base=str(options.model)) for name, path in options.adapters.items()]
    for folder in folders:
        folder.check(loaded.model)
    wrapped = None
    for folder in folders:
        wrapped = folder.lay_over(loaded, wrapped)
    return LoadedAdapters(loaded.model, names=tuple(options.adapters))


class LoadedAdapters:
    """Adapters that lie in the model's layers, one or none of them active."""

    def __init__(self, model: Any, *, names: tuple[str, ...]) -> None:  # noqa: ANN401 - transformers has no types
        self._layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
        self._names = frozenset(names)
        self._active = names[0] if names else ""  # what peft makes so
        self._switches = 0
        self._switch("")

    def names(self) -> frozenset[str]:
        """Return the names that a request may ask for; "" is the model itself and not among them."""
        return self._names

    @contextmanager
    def applied(self, adapter: str) -> Iterator[None]:
        """Have an adapter take part in what is computed within; "" is the model itself."""
        if adapter != self._active:
            self._switch(adapter)
        yield

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name."""
        return {"adapters_loaded": float(len(self._names)), "adapter_switches_total": float(self._switches)}

    def _switch(self, adapter: str) -> None:
        for layer in self._layers:
            if adapter:
                layer.set_adapter([adapter], inference_mode=True)
            if not adapter or not self._active:
                layer.enable_adapters(enabled=bool(adapter))
        self._active = adapter
        self._switches += 1


class _Told(Struct):
    """What an adapter says of itself, as far as it is looked at."""

    peft_type: str
    base_model_name_or_path: str | None = None
    bias: str = "none"
    modules_to_save: list[str] | None = None
    trainable_token_indices: list[int] | dict[str, list[int]] | None = None


class _Folder:
    """One adapter as peft writes it.

    Args:
        base: the model that it is to be laid over, for the text of an error.
    """

    def __init__(self, name: str, path: Path, *, base: str) -> None:
        self._name, self._path, self._base = name, path, base
        self._what = f"adapter {name} in {path}"
        try:
            self._told = msgspec.json.decode((path / _CONFIG).read_bytes(), type=_Told)
            with safe_open(path / _WEIGHTS, framework="pt") as file:
                self._shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        except (OSError, msgspec.MsgspecError, SafetensorError) as error:
            raise ModelRefused(f"cannot read {self._what}: {error}; give a folder that peft has written") from error

    def check(self, model: Any) -> None:  # noqa: ANN401 - transformers has no types
        """Return where it is a LoRA adapter of this model.

        Raises:
            ModelRefused: it is none, or was made for another model; both are named.
        """
        told = self._told
        if told.peft_type != "LORA":
            raise ModelRefused(
                f"{self._what} is of kind {told.peft_type}: LoRA alone is served, so merge it beforehand"
            )
        if told.modules_to_save or told.trainable_token_indices or told.bias != "none":
            raise ModelRefused(f"{self._what} replaces whole layers, tokens or biases: merge it beforehand")
        theirs = told.base_model_name_or_path
        if theirs and _short(theirs) != _short(self._base):
            raise self._misfit(f"if both are the same model, say so in base_model_name_or_path of its {_CONFIG}")
        modules = dict(model.named_modules())
        for key, shape in self._shapes.items():
            place, _, part = key.removeprefix(_FRONT).partition(".lora_")
            side, numbers = ("in_features", shape[-1]) if part.startswith("A") else ("out_features", shape[0])
            ours = getattr(modules.get(place), side, numbers)  # what is no linear layer, peft looks at
            if ours != numbers:
                raise self._misfit(f"{key} is made for {numbers} numbers, and the layer has {ours}")

    def lay_over(self, loaded: Loaded, wrapped: Any) -> Any:  # noqa: ANN401 - peft has no types
        """Load it and return the model as peft wraps it; `wrapped` None is one that has no adapter yet.

        Raises:
            ModelRefused: it does not fit.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is missing is looked at below
                if wrapped is None:
                    config = LoraConfig.from_pretrained(str(self._path), inference_mode=True)
                    wrapped = PeftModel(loaded.model, config, adapter_name=self._name)
                told = wrapped.load_adapter(
                    str(self._path), self._name, torch_device=str(loaded.device), autocast_adapter_dtype=False
                )
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise self._misfit(first_line(error)) from error
        missing = [key for key in told.missing_keys if ".lora_" in key and f".{self._name}." in f"{key}."]
        if missing or told.unexpected_keys:
            raise self._misfit(f"only one of them has {(*missing, *told.unexpected_keys)[0]}")
        return wrapped

    def _misfit(self, why: str) -> ModelRefused:
        theirs = self._told.base_model_name_or_path or "a model that it does not name"
        return ModelRefused(f"{self._what} was made for {theirs} and does not fit {self._base}: {why}")


def _short(model: str) -> str:
    """Return a model's own name: of a folder, of a name on the hub, or of a folder in the hub's cache."""
    cached = next((part for part in Path(model).parts if part.startswith("models--")), None)
    return (cached.rpartition("--")[2] if cached else Path(model).name).lower()
