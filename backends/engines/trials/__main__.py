"""Name of a trial and its arguments as JSON -> what it found, as JSON.

`python -m backends.engines.trials NAME` reads the arguments from standard input and writes one line; what libraries
print meanwhile goes to standard error. A trial that cannot be made ends with exit code 1 and says why there.
"""

import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from backends.engines.base import EngineError


def main(name: str) -> int:
    """Run one trial; return the exit code."""
    began = time.perf_counter()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries of C print, too
    warnings.simplefilter("ignore")  # of libraries, about themselves
    trial: Callable[..., Any] = importlib.import_module(f"backends.engines.trials.{name}").measure
    kinds = get_type_hints(trial)
    asked = msgspec.json.decode(sys.stdin.buffer.read())
    try:
        found = trial(**{name: msgspec.convert(value, kinds[name]) for name, value in asked.items()})
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    told = {"found": found, "wall": time.perf_counter() - began, "cpu": time.process_time()}
    with results:
        results.write(msgspec.json.encode(told) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
