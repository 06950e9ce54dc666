"""Name and arguments of a trial -> what it found, measured in a process of its own.

The trials hold torch and llama.cpp and belong to the engines; here their results alone are read.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from router.bench.companions import ROOT, BenchError

_WITHIN: Final = 540.0  # seconds that one trial may take on a machine that is busy
_TAIL: Final = 800  # characters of what a failed trial said


class Trials:
    """Runs trials, one at a time, on one device.

    Args:
        on_gpu: let them see the accelerators that there are.
        say: told what happens now, a line at a time.

    Attributes:
        costs: wall and CPU seconds of each trial by its name, loading of libraries included.
    """

    def __init__(self, *, on_gpu: bool, say: Callable[[str], None]) -> None:
        self.costs: dict[str, tuple[float, float]] = {}
        self._say = say
        self._on_gpu = on_gpu

    async def run(self, name: str, gives: Any, **asked: object) -> Any:  # noqa: ANN401 - what `gives` says
        """Run a trial to its end.

        Args:
            name: of a module in `backends.engines.trials`.
            gives: the type that its `measure` returns.
            asked: what it is called with.

        Raises:
            BenchError: it failed, or took too long; its last words are in the text.
        """
        self._say(name.replace("_", " "))
        done = await asyncio.to_thread(self._run, name, msgspec.json.encode(asked))
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-_TAIL:]
            raise BenchError(f"the trial {name} ended with exit code {done.returncode}: {said}")
        told = msgspec.json.decode(done.stdout)
        wall, cpu = self.costs.get(name, (0.0, 0.0))
        self.costs[name] = wall + told["wall"], cpu + told["cpu"]
        return msgspec.convert(told["found"], gives)

    def _run(self, name: str, asked: bytes) -> "subprocess.CompletedProcess[bytes]":
        hidden = {} if self._on_gpu else {"CUDA_VISIBLE_DEVICES": ""}
        try:
            return subprocess.run(
                [sys.executable, "-P", "-m", "backends.engines.trials", name],
                input=asked,
                capture_output=True,
                check=False,
                cwd=ROOT,
                # One thread: with more, figures depend on what else runs on the other cores.
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **hidden},
                timeout=_WITHIN,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(
                f"the trial {name} took more than {_WITHIN:g} s: try again with less else to do"
            ) from error
