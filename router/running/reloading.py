"""A configuration file, read again -> another configuration that answers, or the old one and why.

The file is read and checked whole before anything changes. What cannot change while the gateway runs is refused by
its key. Knows nothing of what it means to answer by another configuration: whoever runs the gateway says that.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from backends.base import BackendError
from classifier.base import ClassifierError
from classifier.regular_files import open_regular
from router.base import GatewayError
from router.config.faults import ConfigError, Fault
from router.config.models import Config
from router.config.reading import MAX_BYTES, Chosen, placed, read_chosen
from router.learning.registry import RegistryError
from router.ledger.prices import PriceBookError
from router.metrics.reloads import Reloads
from router.running.vetting import faults_in
from router.tracing.base import TracingAway

Result = Literal["done", "unchanged", "refused"]

FIXED: Final = (
    "server.host",
    "server.port",
    "server.workers",
    "server.admin_host",
    "server.admin_port",
    "server.admin_key",
    "server.watch",
    "ledger",
    "logs",
)
"""What was opened before any gateway was, and outlives each of them."""

_log = logging.getLogger(__name__)


class NotTaken(Exception):
    """A configuration is not answered by, and nothing has changed; the message is for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading a file again.

    Attributes:
        config: version of the configuration that answers now.
        faults: why it is still the old one; none where nothing had to be refused.
    """

    result: Result
    config: str
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """What the command line says instead of the file; None: nothing."""

    host: str | None = None
    port: int | None = None


class Reloader:
    """One file, and the configuration that answers.

    Args:
        path: of the file; None is the built-in configuration, which never changes.
        chosen: what answers now.
        change: has new requests answered by another configuration; what it raises must have changed nothing.
        reloads: where reloads are counted.
    """

    def __init__(
        self,
        path: Path | None,
        chosen: Config,
        change: Callable[[Chosen], Awaitable[None]],
        *,
        reloads: Reloads,
        listening: Listening = Listening(),
    ) -> None:
        self._path, self._current, self._change = path, chosen, change
        self._reloads, self._listening = reloads, listening
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read the file; where it says something else and is in order, have that answer. Never raises for a file."""
        async with self._one_at_a_time:
            try:
                chosen = await asyncio.to_thread(self._read)
                result: Result = "unchanged" if chosen.config == self._current else "done"
                if result == "done":
                    await self._change(chosen)
                    self._current = chosen.config
            except ConfigError as error:
                return self._refused(error.faults)
            except Exception as error:  # noqa: BLE001  (a kind from outside may raise anything, and the old one goes on)
                return self._refused((Fault(str(self._path), 1, 1, "", reason_of(error)),))
        self._reloads.count(result)
        _log.info("configuration %s: %s", self._current.version, "answers now" if result == "done" else result)
        return Reloaded(result, self._current.version)

    async def watch(self, every: float) -> None:
        """Reload whenever the file's content has changed, until cancelled."""
        if self._path is None:
            return
        seen = await asyncio.to_thread(_digest, self._path)
        while True:
            await asyncio.sleep(every)
            found = await asyncio.to_thread(_digest, self._path)
            if found is not None and found != seen:
                seen = found
                await self.reload()

    def _read(self) -> Chosen:
        """Return what the file chooses now.

        Raises:
            ConfigError: it cannot be used, or not without a new start.
        """
        chosen = read_chosen(self._path, host=self._listening.host, port=self._listening.port)
        moved = [key for key in FIXED if _value(self._current, key) != _value(chosen.config, key)]
        faults = [Fault("", 1, 1, key, "cannot change while the gateway runs", "start it anew") for key in moved]
        if not faults and chosen.config != self._current:
            faults = faults_in(chosen.config)
        if faults:
            raise ConfigError(placed(self._path, faults))
        return chosen

    def _refused(self, faults: tuple[Fault, ...]) -> Reloaded:
        self._reloads.count("refused")
        for fault in faults:
            _log.error("the configuration is not taken, %s goes on: %s", self._current.version, fault)
        return Reloaded("refused", self._current.version, faults)


def reason_of(error: Exception) -> str:
    """Return why a configuration cannot be opened, in words that hold no secret."""
    known = (BackendError, ClassifierError, GatewayError, NotTaken, OSError, PriceBookError, RegistryError, TracingAway)
    return str(error) if isinstance(error, known) else f"it cannot be opened: {type(error).__name__}"


def _value(config: Config, key: str) -> object:
    value: object = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _digest(path: Path) -> bytes | None:
    """Return a digest of a file's content; None where it cannot be read, such as while it is replaced."""
    try:
        with open_regular(path) as file:  # no more of it than is read, and of one that is too long enough to say so
            return hashlib.sha256(file.read(MAX_BYTES + 1)).digest()
    except OSError:
        return None
