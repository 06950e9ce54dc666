"""Options -> the engine that they name, not started yet.

An engine's library is heavy: only the process that serves holds it, and only the one that was chosen.
"""

from backends.engines.base import Engine, KvStore
from backends.engines.engine_options import EngineOptions


def open_engine(options: EngineOptions, store: KvStore | None) -> Engine:
    """Return the engine; whoever asked starts and closes it.

    Args:
        store: prefix KV that outlives the engine; None where none is kept.
    """
    if options.engine == "transformers":
        from backends.engines.torch_engine.engine import TorchEngine  # noqa: PLC0415 - loads torch

        return TorchEngine(options, store)
    from backends.engines.llama_cpp import LlamaCpp  # noqa: PLC0415 - loads xllamacpp

    return LlamaCpp(options, store)
