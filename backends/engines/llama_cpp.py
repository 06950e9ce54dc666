"""Weights file -> llama.cpp's own OpenAI server on one port.

Chat template, sampling, streaming, slots, prefix reuse and cancellation are llama.cpp's. Here stand only the
settings that it is started with, and how it is stopped. One process serves one model.
"""

import importlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

_ERRORS_ONLY: Final = 1
"""llama.cpp's verbosity: from 2 on it writes a line for each caller that hangs up, from 3 on several a request."""

_CONNECTIONS: Final = 128
"""Requests that are heard at once, waiting ones included; each holds a thread, which costs almost nothing. With
llama.cpp's own default of a few more than the slots, a health check waits behind the answers of others."""

_LOG_DELAY: Final = 0.2
"""Seconds; llama.cpp writes its reasons from a thread of its own, which cannot be asked whether it is done."""


class ModelRefused(Exception):
    """llama.cpp could not begin to serve; what it found wrong stands in its own words on standard error."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What one engine serves, and where.

    Attributes:
        weights: a GGUF file.
        name: the model's name in answers and in `/v1/models`.
        port: 0 takes a free one.
        threads: for computing; a small model is not faster with more.
        slots: requests that are computed at the same time; more than these wait.
        context: tokens of one slot, prompt and answer; never more than the model was trained for.
        gpu_layers: layers that are kept on an accelerator, where llama.cpp was built for one.
        parent: the process whose end, however it comes, ends the engine too; None is an engine of its own.
        ready_fd: a file descriptor that gets the address, and is closed, once the engine answers.
    """

    weights: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 0
    threads: int = 1
    slots: int = 4
    context: int = 4096
    gpu_layers: int = 0
    parent: int | None = None
    ready_fd: int | None = None


def serve(options: EngineOptions, *, ready: Callable[[str], None]) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then end this process at once with code 0; answers that are under way are cut.

    Args:
        ready: called once with the address, such as "http://127.0.0.1:8101", when requests are answered.

    Raises:
        ModelRefused: the weights cannot be loaded, or the port cannot be had.
    """
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # before llama.cpp starts its threads, which inherit the mask
    xllamacpp = importlib.import_module("xllamacpp")  # heavy: only the process that serves holds llama.cpp
    try:
        server = xllamacpp.Server(_settings(xllamacpp.CommonParams(), options))
    except RuntimeError as error:
        time.sleep(_LOG_DELAY)
        raise ModelRefused(str(error)) from error
    ready(server.listening_address)
    signal.sigwait(endings)
    os._exit(0)  # the server's destructor would wait for as long as a caller keeps a stream open


def _settings(settings: Any, options: EngineOptions) -> Any:  # noqa: ANN401 - xllamacpp has no types
    settings.model.path = str(options.weights)
    settings.model_alias = {options.name}
    settings.hostnames = [options.host]
    settings.port = options.port
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = options.threads
    settings.n_gpu_layers = options.gpu_layers
    settings.fit_params = False  # it would shrink the context to what memory is free, and start slower
    settings.n_threads_http = _CONNECTIONS
    settings.n_parallel = options.slots
    settings.n_ctx = options.slots * options.context  # divided among the slots, so none can starve another
    settings.cache_prompt = True
    settings.cache_ram_mib = 0  # prefixes are reused within a slot; 8 GiB in host memory is not ours to take
    settings.endpoint_metrics = settings.endpoint_slots = True
    settings.ui = False
    settings.cors_origins = "localhost"  # no web page from elsewhere may read from an engine without keys
    settings.use_jinja = True
    settings.warmup = True
    settings.verbosity = _ERRORS_ONLY
    # A caller who names no sampling gets the most likely token each time: the desk's answers are right or wrong, and
    # equal requests shall get equal answers. A temperature in the request is honoured, with no other filter over it.
    sampling = settings.sampling
    sampling.temp = 0.0
    sampling.top_k, sampling.top_p, sampling.min_p = 0, 1.0, 0.0
    sampling.penalty_repeat = 1.0
    return settings
