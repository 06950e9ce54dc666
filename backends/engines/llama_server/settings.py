"""Engine options -> the settings that llama.cpp's own server is started with.

Chat template, sampling, streaming, slots and cancellation are llama.cpp's. Which slot a request gets, and whether it
may use what stands in it, is never left to llama.cpp: its slots know no tenants.
"""

from pathlib import Path
from typing import Any, Final

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions

LOOPBACK: Final = "127.0.0.1"

CACHE_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""Kinds of number that llama.cpp keeps KV in."""

_ERRORS_ONLY: Final = 1
"""llama.cpp's verbosity: from 2 on it writes a line for each caller that hangs up, from 3 on several a request."""

_MORE_CONNECTIONS: Final = 16
"""Requests that are heard beside those that compute, each on a thread: looks at figures, counting, saved states."""


def settings_of(xllamacpp: Any, options: EngineOptions, *, key: str, folder: Path | None) -> Any:  # noqa: ANN401 - xllamacpp has no types
    """Return llama.cpp's settings.

    Args:
        key: that its requests must bear, so that no other program on this machine passes by the front.
        folder: where it writes and reads states of slots; None where none are kept.

    Raises:
        ModelRefused: there is no such kind of KV cache.
    """
    settings = xllamacpp.CommonParams()
    settings.model.path = str(options.model)
    settings.model_alias = {options.name}
    settings.hostnames, settings.port = [LOOPBACK], 0
    settings.api_keys = [key]
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = options.threads
    settings.n_gpu_layers = options.gpu_layers
    settings.fit_params = False  # it would shrink the context to what memory is free, and start slower
    settings.n_threads_http = options.slots + _MORE_CONNECTIONS
    settings.n_parallel = options.slots
    settings.n_ctx = options.slots * options.context  # divided among the slots, so none can starve another
    settings.cache_prompt = True
    settings.cache_ram_mib = 0  # it is shared by all tenants, and 8 GiB in host memory are not ours to take
    settings.endpoint_metrics = settings.endpoint_slots = True
    settings.ui = False
    settings.use_jinja = True
    settings.warmup = True
    settings.verbosity = _ERRORS_ONLY
    if folder is not None:
        settings.slot_save_path = f"{folder}/"
    _choose_sampling(settings.sampling, options)
    _choose_cache(settings, xllamacpp, options.cache_type)
    _add_draft(settings, xllamacpp, options)
    _add_adapters(settings, xllamacpp, options)
    return settings


def _choose_sampling(sampling: Any, options: EngineOptions) -> None:  # noqa: ANN401
    # A caller who names no sampling gets the most likely token each time: the desk's answers are right or wrong, and
    # equal requests shall get equal answers. A temperature in the request is honoured, with no other filter over it.
    sampling.temp = 0.0
    sampling.top_k, sampling.top_p, sampling.min_p = 0, 1.0, 0.0
    sampling.penalty_repeat = 1.0
    # Penalties see the whole text, not its last 64 tokens; llama.cpp takes -1, which should say so, for none at all.
    sampling.penalty_last_n = options.context


def _choose_cache(settings: Any, xllamacpp: Any, kind: str) -> None:  # noqa: ANN401
    if not kind:
        return
    if kind not in CACHE_TYPES:
        raise ModelRefused(f"there is no KV cache of {kind!r}: take one of {', '.join(CACHE_TYPES)}")
    settings.cache_type_k = settings.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{kind.upper()}")


def _add_draft(settings: Any, xllamacpp: Any, options: EngineOptions) -> None:  # noqa: ANN401
    if options.draft is None:
        return
    speculative = settings.speculative
    speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
    draft = speculative.draft
    draft.mparams.path = str(options.draft)
    draft.n_gpu_layers = options.gpu_layers
    draft.cpuparams.n_threads = draft.cpuparams_batch.n_threads = options.threads


def _add_adapters(settings: Any, xllamacpp: Any, options: EngineOptions) -> None:  # noqa: ANN401
    if not options.adapters:
        return
    # A scale of 0: what a request does not name, it does not get.
    settings.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in options.adapters.values()]
    settings.lora_init_without_apply = True
