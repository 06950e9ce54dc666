"""What can be chosen of a local engine -> the backend with its engine.

Knows the keys of the configuration, not the file they stand in.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from backends.capabilities import EngineCapabilities
from backends.engines.llama_cpp import EngineOptions
from backends.engines.local import LocalEngine
from backends.engines.process import EngineProcess

SHIPPED: Final = ("desk-large", "desk-mini")
"""Names of the weights that come with the program, that of the larger model first."""

SHIPPED_CONTEXT: Final = 1024
"""Tokens that the shipped weights were trained for."""

MODELS: Final = Path(__file__).parent / "models"

Name = Annotated[str, Field(min_length=1)]


class LocalOptions(BaseModel):
    """An engine on this machine, in a process of its own.

    Attributes:
        weights: a GGUF file; None takes the shipped weights of that name.
        name: "desk-large" or "desk-mini", or any name for weights of your own.
        model: the name that the engine gives its model; the same as `name` where left out.
        price: the model's entry in the price book; the same as `name` where left out.
        threads: for computing.
        slots: requests that are computed at the same time.
        context: tokens of one request, prompt and answer; never more than the model was trained for.
        gpu_layers: layers that are kept on an accelerator, where llama.cpp was built for one.
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
        options = EngineOptions(
            weights=self.weights or MODELS / f"{self.name}.gguf",
            name=self.model,
            threads=self.threads,
            slots=self.slots,
            context=self.context,
            gpu_layers=self.gpu_layers,
        )
        return LocalEngine(EngineProcess(options))
