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
from router.config.server import ServerOptions

_PR_SET_PDEATHSIG = 1
_CLOSES_WITHIN = 5.0  # seconds that the gateway gets beyond its drain


class GatewayChild:
    """A gateway of our own on one address; use as a context manager."""

    def __init__(self, config: Path | None, *, server: ServerOptions) -> None:
        """Take the configuration file, None for the built-in one, and where it shall listen."""
        self._config, self._server = config, server
        host = f"[{server.host}]" if ":" in server.host else server.host
        self.url = f"http://{host}:{server.port}"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            CommandFailed: nobody can listen there.
        """
        host, port = self._server.host, self._server.port
        _try_to_listen(host, port)
        config = [] if self._config is None else ["--config", str(self._config)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router", "serve", "--host", host, "--port", str(port), *config],
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
            self._process.wait(self._server.drain_timeout + _CLOSES_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, *, seconds: float) -> None:
        """Return when both models would answer.

        Raises:
            CommandFailed: it ended.
            BackendAway: it is not ready in time; says which backend is not.
        """
        until, ready = time.monotonic() + seconds, dict[str, bool]()
        with httpx2.Client(timeout=2, trust_env=False) as client:
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    raise CommandFailed(
                        f"the gateway ended at its start with exit code {self._process.returncode}",
                        advice="its message stands above; ./tandem doctor checks this machine",
                    )
                ready = _readiness(client, self.url)
                if ready and all(ready.values()):
                    return
                time.sleep(0.05)
        away = " and ".join(tier for tier, is_ready in ready.items() if not is_ready) or "the gateway"
        raise BackendAway(f"no answer from {away} after {seconds:g} s", where=self.url, ready=ready)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def wait(self) -> int:
        """Return its exit code when it ends by itself."""
        return self._process.wait()


def _readiness(client: httpx2.Client, url: str) -> dict[str, bool]:
    """Return which backends are ready; empty while the gateway itself does not answer."""
    try:
        ready: dict[str, bool] = client.get(f"{url}/readyz").json()["backends"]
    except (httpx2.HTTPError, ValueError):
        return {}
    return ready


def _try_to_listen(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandFailed(
                f"cannot listen: {error.strerror}", where=f"{host}:{port}", advice="choose another with --port"
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
