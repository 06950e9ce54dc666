"""Arguments -> the gateway as a child process that never outlives its parent.

The child gets a session of its own, so that Ctrl-C reaches only the parent, which then stops it in
order. If the parent is killed, the kernel tells the child to stop.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from router.commands.errors import BackendAway, CommandFailed

_PR_SET_PDEATHSIG = 1
_STOPS_WITHIN = 15.0  # seconds; longer than the gateway's own drain


class GatewayChild:
    """A gateway of our own on one address; use as a context manager."""

    def __init__(self, config: Path | None, *, host: str, port: int) -> None:
        """Take the configuration file, None for the built-in one."""
        self._config, self._host, self._port = config, host, port
        self.url = f"http://{host}:{port}"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            CommandFailed: the port is taken.
        """
        _refuse_taken(self._host, self._port)
        config = [] if self._config is None else ["--config", str(self._config)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router", "serve", "--host", self._host, "--port", str(self._port), *config],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=_stop_with_parent(),  # noqa: PLW1509  (no thread runs yet; nothing but prctl is called)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and wait; kill it when it does not stop in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, *, seconds: float) -> None:
        """Return when both models would answer.

        Raises:
            CommandFailed: it ended.
            BackendAway: it is not ready in time.
        """
        until = time.monotonic() + seconds
        with httpx2.Client(timeout=2, trust_env=False) as client:
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    raise CommandFailed(
                        f"the gateway ended at its start with exit code {self._process.returncode}",
                        advice="its message stands above; ./tandem doctor checks this machine",
                    )
                if _is_ready(client, self.url):
                    return
                time.sleep(0.05)
        raise BackendAway(f"the gateway is not ready after {seconds:g} s", where=self.url)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def wait(self) -> int:
        """Return its exit code when it ends by itself."""
        return self._process.wait()


def _is_ready(client: httpx2.Client, url: str) -> bool:
    try:
        answer = client.get(f"{url}/readyz")
    except httpx2.HTTPError:
        return False
    return answer.status_code == httpx2.codes.OK and answer.json()["status"] == "ready"


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandFailed(
                f"the address is taken: {error.strerror}", where=f"{host}:{port}", advice="choose another with --port"
            ) from error


def _stop_with_parent() -> Callable[[], None] | None:
    """Return what the child runs before it becomes the gateway; None where the system has no such signal."""
    if not sys.platform.startswith("linux"):
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before we asked

    return ask
