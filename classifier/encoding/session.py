"""Rows of token ids -> logits, on one device of ONNX Runtime.

Knows neither text nor calibration. Loads onnxruntime when a session is opened, never on import.
"""

import logging
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal

import numpy as np

from classifier.base import ClassifierError, WeightsError

Device = Literal["auto", "cuda", "tensorrt", "cpu"]

INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"
INSTALL = ".venv/bin/uv pip install onnxruntime tokenizers -c deploy/locks/dev.txt"
_PROVIDERS = {  # best first
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_MOST_ROWS = 64  # of one run; what TensorRT prepares for
_QUIET = 4  # ONNX Runtime's number for fatal errors only; the others are raised here

Module = Any  # of an extra that may not be installed
InferenceSession = Any  # of onnxruntime, which has no types

_log = logging.getLogger(__name__)


class Session:
    """One graph on one device; safe to share between threads.

    A run is synchronous and computes in the calling thread, on the CPU in that thread alone.
    """

    def __init__(self, opened: InferenceSession, *, device: str, pad: int) -> None:
        """Take an open session; `pad` fills rows that are shorter than others."""
        self.device = device
        self._opened = opened
        self._pad = pad

    def logits(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Return one finite logit for each row of token ids.

        Raises:
            ClassifierError: the run failed, or gave something that is no number.
        """
        logits: list[float] = []
        for start in range(0, len(rows), _MOST_ROWS):
            logits += self._run(rows[start : start + _MOST_ROWS])
        return logits

    def _run(self, rows: Sequence[Sequence[int]]) -> list[float]:
        shape = (len(rows), max(map(len, rows)))
        ids, mask = np.full(shape, self._pad, np.int64), np.zeros(shape, np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        with foreign(ClassifierError, f"the encoder cannot be run on {self.device}"):
            (found,) = self._opened.run((OUTPUT,), dict(zip(INPUTS, (ids, mask), strict=True)))
        logits: list[float] = np.asarray(found, np.float64).reshape(-1).tolist()
        if len(logits) != len(rows) or not all(map(math.isfinite, logits)):
            raise ClassifierError(f"the encoder gives {logits[:3]} for {len(rows)} rows, no finite logit for each")
        return logits


def open_session(model: bytes, *, device: Device, longest: int, pad: int) -> Session:
    """Return a session that has been tried out; "auto" takes the best device that works.

    Args:
        model: an ONNX graph, from int64 `INPUTS` of shape (rows, tokens) to float `OUTPUT` of shape (rows,).
        longest: tokens of the longest row.

    Raises:
        WeightsError: onnxruntime is absent, does not offer the device, or cannot use the graph on it.
    """
    runtime = loaded("onnxruntime")
    providers = runtime.get_available_providers()
    offered = [name for name, provider in _PROVIDERS.items() if provider in providers]
    if device != "auto" and device not in offered:
        raise WeightsError(
            f"device {device}: onnxruntime offers {', '.join(offered)} here; name one of these or auto, "
            "or install onnxruntime-gpu in place of onnxruntime"
        )
    *others, last = offered if device == "auto" else [device]
    for name in others:
        try:
            return _tried(runtime, model, name, longest=longest, pad=pad)
        except WeightsError as error:
            _log.info("device %s is passed over: %s", name, error)
    return _tried(runtime, model, last, longest=longest, pad=pad)


def loaded(name: str) -> Module:
    """Return a module of the extra [encoder].

    Raises:
        WeightsError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise WeightsError(f"{name} cannot be imported: {_first_line(error)}; {INSTALL}") from error


@contextmanager
def foreign(kind: type[Exception], what: str) -> Generator[None, None, None]:
    """Turn whatever a library raises into an error of ours: "what: the library's first line"."""
    try:
        yield
    except Exception as error:  # onnxruntime, tokenizers and transformers raise what has no base of their own
        raise kind(f"{what}: {_first_line(error)}") from error


def _tried(runtime: Module, model: bytes, device: str, *, longest: int, pad: int) -> Session:
    options = runtime.SessionOptions()
    # One thread, which does not spin when idle: the event loop and other processes keep their cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _QUIET
    provider = _PROVIDERS[device]
    with foreign(WeightsError, f"device {device} cannot load the graph"):
        opened = runtime.InferenceSession(
            model,
            options,
            providers=[provider],
            provider_options=[_settings(device, longest)],
            enable_fallback=0,  # it would print, and go on elsewhere
        )
    inputs, outputs = ([each.name for each in side] for side in (opened.get_inputs(), opened.get_outputs()))
    if sorted(inputs) != sorted(INPUTS) or OUTPUT not in outputs:
        raise WeightsError(f"the graph goes from {inputs} to {outputs}, not from {list(INPUTS)} to ['{OUTPUT}']")
    if opened.get_providers()[0] != provider:
        raise WeightsError(f"device {device} is offered but does not start; check its driver and libraries")
    session = Session(opened, device=device, pad=pad)
    try:
        session.logits([[pad], [pad] * longest])
    except ClassifierError as error:
        raise WeightsError(str(error)) from error
    return session


def _settings(device: str, longest: int) -> dict[str, str]:
    """Return the provider's settings; TensorRT is told all shapes at once, or it would build anew for new lengths."""
    if device != "tensorrt":
        return {}
    shapes = {"min": (1, 1), "opt": (1, longest // 2), "max": (_MOST_ROWS, longest)}
    return {
        f"trt_profile_{bound}_shapes": ",".join(f"{name}:{rows}x{tokens}" for name in INPUTS)
        for bound, (rows, tokens) in shapes.items()
    }


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
