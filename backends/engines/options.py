"""What can be chosen of a local engine -> the backend with its engine.

Knows the keys of the configuration, not the file they stand in.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from backends.base import Backend
from backends.capabilities import EngineCapabilities
from backends.engines.engine_options import EngineOptions, Kind, Quantise
from backends.engines.local import IN_FLIGHT, EngineLimitsOptions, LocalEngine, client_of
from backends.engines.process import EngineProcess

SHIPPED: Final = ("desk-large", "desk-mini")
"""Names of the weights that come with the program, that of the larger model first."""

SHIPPED_CONTEXT: Final = 1024
"""Tokens that the shipped weights were trained for."""

MODELS: Final = Path(__file__).parent / "models"

Name = Annotated[str, Field(min_length=1)]
AdapterName = Annotated[str, Field(pattern=r"^[\w.-]+$")]


class LocalOptions(BaseModel):
    """An engine on this machine, in a process of its own.

    Attributes:
        weights: a GGUF file, for transformers a folder or a name on the hub; None takes the shipped weights of that
            name.
        engine: what computes: "llama_cpp", or "transformers" with torch (extra `[local]`).
        name: "desk-large" or "desk-mini", or any name for weights of your own.
        model: the name that the engine gives its model; the same as `name` where left out.
        price: the model's entry in the price book; the same as `name` where left out.
        threads: for computing.
        slots: requests that llama.cpp computes at the same time.
        context: tokens of one request, prompt and answer; never more than the model was trained for.
        gpu_layers: layers that are kept on an accelerator, where llama.cpp was built for one.
        draft: a smaller model of the same vocabulary that proposes tokens.
        adapters: LoRA adapters by name; the model "NAME:ADAPTER" is answered with one.
        quantise: "int8" or "int4", to what transformers converts the weights.
        max_batch_size: requests that transformers computes at the same time.
        max_wait: seconds that it waits for a batch to fill.
        queue: requests that may wait for a place; those beyond are refused with 429.
        cache_type: numbers of llama.cpp's KV cache, such as "q8_0".
        prefix_kv: prefix KV is kept in the gateway's Redis, where it has one.
        kv_store: "package.module:name" of what opens another store for it; its values are signed with what the
            environment variable TANDEM_KV_SECRET holds.
        kv_url: where that store is.
        limits: how many calls the gateway sends it at the same time, and who waits.
        capabilities: what the engine can; its context is the one above, where nothing else is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    use: Literal["local"]
    name: Name
    weights: Path | None = None
    model: Name = ""
    price: Name = ""
    threads: Annotated[int, Field(ge=1, le=512)] = 1
    slots: Annotated[int, Field(ge=1, le=64)] = 4
    context: Annotated[int, Field(ge=1)] = 4096
    gpu_layers: Annotated[int, Field(ge=0)] = 0
    engine: Kind = "llama_cpp"
    draft: Path | None = None
    adapters: dict[AdapterName, Path] = Field(default_factory=dict)
    quantise: Quantise = ""
    max_batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    max_wait: Annotated[float, Field(ge=0, le=1)] = 0.0
    queue: Annotated[int, Field(ge=1)] = 128
    cache_type: str = ""
    prefix_kv: bool = True
    kv_store: Annotated[str, Field(pattern=r"^$|^[\w.]+:\w+$")] = ""
    kv_url: str = ""
    limits: EngineLimitsOptions = EngineLimitsOptions()
    capabilities: Annotated[EngineCapabilities, Field(validate_default=True)] = EngineCapabilities()

    @model_validator(mode="before")
    @classmethod
    def _named_alike(cls, chosen: object) -> object:
        if isinstance(chosen, dict) and "name" in chosen:
            return {"model": chosen["name"], "price": chosen["name"], **chosen}
        return chosen

    @field_validator("capabilities")
    @classmethod
    def _within_its_context(cls, chosen: EngineCapabilities, info: ValidationInfo) -> EngineCapabilities:
        context, weights = info.data.get("context"), info.data.get("weights")
        if chosen.context_tokens is not None or context is None:
            return chosen
        return chosen.model_copy(update={"context_tokens": context if weights else min(context, SHIPPED_CONTEXT)})

    @model_validator(mode="after")
    def _has_weights(self) -> "LocalOptions":
        if self.weights is None and self.name not in SHIPPED:
            raise ValueError(f"no weights are shipped as {self.name!r}: take {' or '.join(SHIPPED)}, or give weights")
        return self

    def build(self) -> LocalEngine:
        """Return the backend; its engine is not started yet."""
        return LocalEngine(EngineProcess(self._engine()), limits=self._limits())

    def build_with_store(self, store: str, *, url: str, secret: str) -> LocalEngine:
        """Return the backend, with prefix KV in a store of the gateway's unless the file says otherwise.

        Args:
            store: "package.module:name" of what opens it.
            url: where it is.
            secret: what its values are signed with.
        """
        if not self.prefix_kv or self.kv_store:
            return self.build()
        engine = replace(self._engine(), kv_store=store, kv_url=url, kv_secret=secret)
        return LocalEngine(EngineProcess(engine), limits=self._limits())

    def reach(self, url: str) -> Backend:
        """Return a backend over an engine of these options that another process of ours has started."""
        return client_of(url, limits=self._limits())

    def _limits(self) -> EngineLimitsOptions:
        if self.limits.in_flight is not None:
            return self.limits
        return self.limits.model_copy(update={"in_flight": max(IN_FLIGHT, self._engine().places)})

    def _engine(self) -> EngineOptions:
        return EngineOptions(
            model=self.weights or MODELS / f"{self.name}.gguf",
            name=self.model,
            engine=self.engine,
            threads=self.threads,
            slots=self.slots,
            context=self.context,
            gpu_layers=self.gpu_layers,
            draft=self.draft,
            adapters=self.adapters,
            quantise=self.quantise,
            max_batch_size=self.max_batch_size,
            max_wait=self.max_wait,
            queue=self.queue,
            kv_store=self.kv_store,
            kv_url=self.kv_url,
            cache_type=self.cache_type,
        )
