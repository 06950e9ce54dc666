"""Command line -> one engine process, or the reason why not.

`python -m backends.engines.server --model PATH --port N --name NAME` serves until it is told to stop. What is wrong
is said before an engine is loaded, where it can be known: exit code 2 for the command line, 3 for the model, 4 for
the port, 5 for the store of prefix KV.
"""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from backends.engines.base import ModelRefused
from backends.engines.engine_options import KINDS, QUANTISATIONS, STORE_URL, EngineOptions
from backends.engines.gguf_head import check_is_gguf
from backends.engines.serving.listening import PortTaken, StoreRefused, serve

MAX_THREADS: Final = 512
"""As llama.cpp has it, in `GGML_MAX_N_THREADS`."""

MAX_SLOTS: Final = 256
"""As llama.cpp has it, in `LLAMA_MAX_SEQ`."""

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_DEFAULTS: Final = EngineOptions(model=Path(), name="")
_EXIT_CODES: Final[dict[type[Exception], int]] = {ModelRefused: 3, PortTaken: 4, StoreRefused: 5}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve what the command line names; return the exit code."""
    return run(_read(argv))


def run(options: EngineOptions) -> int:
    """Serve until SIGTERM or SIGINT, which end the process with code 0.

    Returns:
        the exit code where nothing was served; why is said on standard error.
    """
    if options.parent is not None:
        _die_with(options.parent)
    try:
        check_model(options)
        serve(options, ready=lambda address: _tell(options, address))
    except tuple(_EXIT_CODES) as error:
        sys.stderr.write(f"{error}\n")
        return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    return 0


def check_model(options: EngineOptions) -> None:
    """Look at what costs no library to look at.

    Raises:
        ModelRefused: a file is missing, or is of another kind than the engine reads.
    """
    reads_gguf = options.engine == "llama_cpp"
    _check_amounts(options)
    if reads_gguf and options.quantise:
        raise ModelRefused(
            f"llama.cpp converts no weights to {options.quantise}: give a GGUF file that holds them so, such as Q8_0"
        )
    if not reads_gguf and options.cache_type:
        raise ModelRefused(f"the transformers engine keeps no KV as {options.cache_type}: leave --cache-type out")
    for path in (options.model, *([options.draft] if options.draft else []), *options.adapters.values()):
        if reads_gguf and path.is_dir():
            raise ModelRefused(f"{path} is a folder, llama.cpp reads GGUF files; take --engine transformers")
        if reads_gguf:
            check_is_gguf(path)
        elif path.is_file():
            raise ModelRefused(f"{path} is a file, the transformers engine reads folders; take --engine llama_cpp")


def _check_amounts(options: EngineOptions) -> None:
    """Check what would end llama.cpp, or torch, with a signal and without a word."""
    for name, amount, most in (("threads", options.threads, MAX_THREADS), ("slots", options.slots, MAX_SLOTS)):
        if amount > most:
            raise ModelRefused(f"{amount} {name} are more than an engine can have: take {most} or fewer")


def _read(argv: Sequence[str] | None) -> EngineOptions:
    parser = argparse.ArgumentParser("backends.engines.server", description="Serve one model on the OpenAI API.")
    add = parser.add_argument
    add("--model", required=True, type=Path, metavar="PATH", help="weights: a GGUF file, or a folder for transformers")
    add("--name", required=True, help="the model's name in answers")
    add("--engine", choices=KINDS, default=_DEFAULTS.engine, help="what computes (%(default)s)")
    add("--host", default=_DEFAULTS.host, help="address to listen on (%(default)s)")
    add("--port", type=_port, default=_DEFAULTS.port, metavar="N", help="0 takes a free one")
    for name, what in (
        ("threads", "threads that compute"),
        ("slots", "requests that llama.cpp computes at the same time"),
        ("context", "tokens of one request, prompt and answer"),
        ("max-batch-size", "requests that transformers computes at the same time"),
        ("queue", "requests that may wait"),
    ):
        default = getattr(_DEFAULTS, name.replace("-", "_"))
        add(f"--{name}", type=_positive, default=default, metavar="N", help=f"{what} (%(default)s)")
    add("--gpu-layers", type=int, default=_DEFAULTS.gpu_layers, metavar="N", help="layers on a GPU")
    add("--draft", type=Path, metavar="PATH", help="a smaller model that proposes tokens")
    add("--lora", type=_adapter, action="append", default=[], dest="adapters", metavar="NAME=PATH", help="an adapter")
    add("--quantise", choices=QUANTISATIONS, default=_DEFAULTS.quantise, help="to what transformers converts weights")
    add("--max-wait", type=_seconds, default=_DEFAULTS.max_wait, metavar="S", help="seconds for a batch to fill")
    add("--cache-type", default=_DEFAULTS.cache_type, metavar="TYPE", help="numbers of llama.cpp's KV cache")
    add("--kv-store", default=_DEFAULTS.kv_store, metavar="MODULE:NAME", help="what opens a store for prefix KV")
    add("--kv-url", default=os.environ.get(STORE_URL, ""), metavar="URL", help=f"where it is (${STORE_URL})")
    add("--die-with-parent", type=int, dest="parent", metavar="PID", help="end when this parent ends")
    add("--ready-fd", type=int, metavar="FD", help="write the address there once requests are answered")
    chosen = vars(parser.parse_args(argv))
    adapters = dict(chosen["adapters"])
    if len(adapters) < len(chosen["adapters"]):
        parser.error(f"two adapters have the same name: {', '.join(name for name, _ in chosen['adapters'])}")
    return EngineOptions(**{**chosen, "adapters": adapters})


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of a port
        raise argparse.ArgumentTypeError(f"{port} is no port, take 0 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small, take 1 or more")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range, take 0 to 1 seconds")
    return seconds


def _adapter(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not (name and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, be it by SIGKILL.

    Elsewhere than on Linux a killed parent leaves its engine running.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"parent process {parent} has ended, nobody needs this engine")


def _tell(options: EngineOptions, address: str) -> None:
    if options.ready_fd is None:
        sys.stdout.write(f"{options.name} answers on {address}/v1\n")
        sys.stdout.flush()
        return
    with suppress(BrokenPipeError), os.fdopen(options.ready_fd, "w") as pipe:
        pipe.write(address)


if __name__ == "__main__":
    sys.exit(main())
