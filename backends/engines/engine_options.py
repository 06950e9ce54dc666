"""What one engine serves, where and how.

Knows no engine: which of these each reads, it says itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Kind = Literal["llama_cpp", "transformers"]
Quantise = Literal["", "int8", "int4"]

KINDS: Final[tuple[Kind, ...]] = ("llama_cpp", "transformers")
QUANTISATIONS: Final[tuple[Quantise, ...]] = ("", "int8", "int4")

SIGNING_KEY: Final = "TANDEM_KV_SECRET"
"""Environment variable with what stored KV is signed with; on a command line everybody would read it."""

STORE_URL: Final = "TANDEM_KV_URL"
"""Environment variable with the address of the store, which may hold a password too."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """One engine and the address that it is served on.

    Attributes:
        model: a GGUF file for llama.cpp; a folder, or a name on the hub, for transformers.
        name: the model's name in answers and in `/v1/models`.
        engine: which engine computes.
        port: 0 takes a free one.
        threads: for computing; a small model is not faster with more.
        slots: requests that llama.cpp computes at the same time.
        context: tokens of one request, prompt and answer; never more than the model was trained for.
        gpu_layers: layers that llama.cpp keeps on an accelerator, where it was built for one.
        draft: a smaller model of the same vocabulary that proposes tokens; None for none.
        adapters: LoRA adapters by the name that a request asks for them with.
        quantise: to what the transformers engine converts the weights; "" leaves them as they are.
        max_batch_size: requests that the transformers engine computes at the same time.
        max_wait: seconds that it waits for a batch to fill.
        queue: requests that may wait for a free place; those beyond are refused.
        kv_store: "package.module:name" of what opens a store for prefix KV; "" for none.
        kv_url: where that store is.
        kv_secret: what its values are signed with; "" takes that of this process's environment.
        cache_type: numbers of llama.cpp's KV cache: "f16", "q8_0" and so on; "" leaves it to the engine.
        parent: the process whose end, however it comes, ends the engine too; None is an engine of its own.
        ready_fd: a file descriptor that gets the address, and is closed, once the engine answers.
    """

    model: Path
    name: str
    engine: Kind = "llama_cpp"
    host: str = "127.0.0.1"
    port: int = 0
    threads: int = 1
    slots: int = 4
    context: int = 4096
    gpu_layers: int = 0
    draft: Path | None = None
    adapters: Mapping[str, Path] = field(default_factory=dict)
    quantise: Quantise = ""
    max_batch_size: int = 16
    max_wait: float = 0.0
    queue: int = 128
    kv_store: str = ""
    kv_url: str = ""
    kv_secret: str = field(default="", repr=False)
    cache_type: str = ""
    parent: int | None = None
    ready_fd: int | None = None

    @property
    def places(self) -> int:
        """Return how many answers are computed at the same time."""
        return self.slots if self.engine == "llama_cpp" else self.max_batch_size
