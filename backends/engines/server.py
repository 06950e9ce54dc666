"""Command line -> one engine process, or the reason why not.

`python -m backends.engines.server --model FILE --port N --name NAME` serves until it is told to stop. What is wrong
is said before llama.cpp is loaded, where it can be known: exit code 2 for the command line, 3 for the weights, 4 for
the port.
"""

import argparse
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, NoReturn

from backends.engines.llama_cpp import EngineOptions, ModelRefused, serve

_MAGIC: Final = b"GGUF"
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_DEFAULTS: Final = EngineOptions(weights=Path(), name="")


class CannotServe(Exception):
    """An engine was not started; the text says what, where and what to do."""

    exit_code: ClassVar[int] = 1


class BadWeights(CannotServe):
    """The weights are missing, or are none that llama.cpp reads."""

    exit_code = 3


class PortTaken(CannotServe):
    """The address cannot be listened on."""

    exit_code = 4


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
        _check_weights(options.weights)
        _check_port(options)
        _serve(options)
    except CannotServe as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _read(argv: Sequence[str] | None) -> EngineOptions:
    parser = argparse.ArgumentParser("backends.engines.server", description="Serve one GGUF model on the OpenAI API.")
    parser.add_argument("--model", required=True, type=Path, dest="weights", metavar="FILE", help="weights in GGUF")
    parser.add_argument("--name", required=True, help="the model's name in answers")
    parser.add_argument("--host", default=_DEFAULTS.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=_DEFAULTS.port, metavar="N", help="0 takes a free one")
    for name, what in (
        ("threads", "threads that compute"),
        ("slots", "requests computed at the same time"),
        ("context", "tokens of one slot"),
    ):
        default = getattr(_DEFAULTS, name)
        parser.add_argument(f"--{name}", type=_positive, default=default, metavar="N", help=f"{what} (%(default)s)")
    parser.add_argument("--gpu-layers", type=int, default=_DEFAULTS.gpu_layers, metavar="N", help="layers on a GPU")
    parser.add_argument("--die-with-parent", type=int, dest="parent", metavar="PID", help="end when this parent ends")
    parser.add_argument("--ready-fd", type=int, metavar="FD", help="write the address there once requests are answered")
    return EngineOptions(**vars(parser.parse_args(argv)))


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


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, be it by SIGKILL.

    Elsewhere than on Linux a killed parent leaves its engine running.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"parent process {parent} has ended, nobody needs this engine")


def _check_weights(weights: Path) -> None:
    try:
        with weights.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise BadWeights(f"cannot read model file {weights}: {error.strerror}; give the path of a GGUF file") from error
    if magic != _MAGIC:
        raise BadWeights(f"{weights} is no GGUF file, it begins with {magic!r}; convert it with llama.cpp's converter")


def _check_port(options: EngineOptions) -> None:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as llama.cpp does: closed connections may linger
        try:
            probe.bind((options.host, options.port))
            probe.listen()
        except OSError as error:
            where = f"{options.host}:{options.port}"
            raise PortTaken(f"cannot listen on {where}: {error.strerror}; choose another port, or 0") from error


def _serve(options: EngineOptions) -> NoReturn:
    def ready(address: str) -> None:
        if options.ready_fd is None:
            sys.stdout.write(f"{options.name} answers on {address}/v1\n")
            sys.stdout.flush()
            return
        with suppress(BrokenPipeError), os.fdopen(options.ready_fd, "w") as pipe:
            pipe.write(address)

    try:
        serve(options, ready=ready)
    except ModelRefused as error:
        _check_port(options)  # it may have been taken meanwhile, which llama.cpp does not tell apart
        raise BadWeights(
            f"llama.cpp cannot serve {options.weights}, its reasons stand above; check the file"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
