"""A gateway as its users run it: a process of its own, real models, a real redis-server, a real ledger."""

import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from router.commands.child import GatewayChild
from router.config.server import ServerOptions
from tests.end_to_end.openai_upstream import Upstream, serving

SUITE_KEY = "My API Key"  # what the OpenAI SDK's own tests send
KEYS = {"acme": "acme-key-0123456789", "rival": "rival-key-0123456789"}


@dataclass(frozen=True)
class Running:
    """Where it listens and where it writes."""

    url: str
    pid: int
    ledger: Path

    def children(self, name: str) -> list[psutil.Process]:
        """Return the processes below the gateway whose command line has this word."""
        below = psutil.Process(self.pid).children(recursive=True)
        return [process for process in below if any(name in word for word in process.cmdline())]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(folder: Path) -> Path:
    """Write a configuration with two tenants and a ledger of its own."""
    keys = "".join(f"  - {{tenant: {tenant}, key: {key}}}\n" for tenant, key in KEYS.items())
    path = folder / "tandem.yaml"
    path.write_text(f"ledger: {{path: {folder / 'ledger.db'}}}\nkeys:\n{keys}")
    return path


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one gateway for all tests that do not harm it."""
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayChild(write_config(folder), server=ServerOptions(port=free_port())) as child:
        child.wait_until_ready(seconds=60)
        yield Running(child.url, child.pid, folder / "ledger.db")


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Running]:
    """Run a gateway for one test that does harm it."""
    with GatewayChild(write_config(tmp_path), server=ServerOptions(port=free_port())) as child:
        child.wait_until_ready(seconds=60)
        yield Running(child.url, child.pid, tmp_path / "ledger.db")


@dataclass(frozen=True)
class Wired:
    """A gateway over a server that answers every field.

    Attributes:
        url: with the path below which the endpoints lie.
        stored: the file of stored objects.
    """

    url: str
    stored: Path
    upstream: Upstream


@pytest.fixture(scope="session")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """Run one for all suites of other people's clients."""
    folder = tmp_path_factory.mktemp("wired")
    with serving() as upstream:
        backend = f"{{use: openai_http, urls: [{upstream.url}], price: desk-large"
        config = folder / "tandem.yaml"
        config.write_text(
            f"ledger: {{path: {folder / 'ledger.db'}}}\n"
            f"stored: {{path: {folder / 'stored.db'}}}\n"
            "cache: {enabled: false}\n"
            "backends:\n"
            f"  large: {backend}, model: big}}\n"
            f"  mini: {backend}, model: small}}\n"
            f"  embeddings: {backend}, model: vectors}}\n"
            "models:\n"
            "  aliases: {gpt-6-astra: auto, gpt-3.5-turbo-instruct: auto, text-embedding-3-small: embeddings}\n"
            f"keys:\n  - {{tenant: suite, sha256: {hashlib.sha256(SUITE_KEY.encode()).hexdigest()}}}\n"
        )
        with GatewayChild(config, server=ServerOptions(port=free_port())) as child:
            child.wait_until_ready(seconds=30)
            yield Wired(f"{child.url}/v1", folder / "stored.db", upstream)


def kill(process: psutil.Process) -> None:
    """End a process as an out-of-memory killer would."""
    os.kill(process.pid, signal.SIGKILL)
