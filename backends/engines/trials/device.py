"""The accelerator of this process -> its name, its memory, and how fast that is read and written.

Imports torch alone, so that a machine without one is known within seconds.
"""

import time
from typing import Final

import torch

from backends.engines.trials.base import Device

_BYTES: Final = 1 << 30
_COPIES: Final = 20


def measure() -> Device | None:
    """Return the first accelerator; None where there is none."""
    if not torch.cuda.is_available():
        return None
    told = torch.cuda.get_device_properties(0)
    return Device(name=told.name, memory=told.total_memory, bandwidth=_bandwidth())


def _bandwidth() -> float:
    """Return bytes a second that are read or written while memory is copied."""
    source = torch.ones(_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)  # what is done once
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(_COPIES):
        target.copy_(source)
    torch.cuda.synchronize()
    return 2 * _BYTES * _COPIES / (time.perf_counter() - began)
