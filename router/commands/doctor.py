"""This machine -> what is in order, what is not, and what to do about it.

A warning is something that Tandem works without; anything else that is wrong makes the command fail.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from cache.supervisor import find_binary
from classifier.base import WeightsError
from router.base import Tier
from router.commands.origins import origins, strays
from router.commands.weights import bundled, is_gguf
from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import read_config
from router.ledger.place import LedgerPlace, LedgerUnreadable, SqlitePlace, reading
from router.ledger.retention import doubt_in
from router.ledger.trying import tried

_OLDEST = (3, 11)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 30.0  # for a program that is asked who it is
_ANSWERS_WITHIN = 1.0  # seconds, for what listens at our port
_LONGEST_ANSWER = 65_536  # bytes


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing; `advice` is "" where all is well."""

    name: str
    state: State
    found: str
    advice: str = ""


def doctor(
    *,
    config: Annotated[Path | None, Option(help="The configuration file to look at.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check each thing and print a line for it; exit 1 if one fails."""
    findings = findings_of(config)
    if as_json:
        print(json.dumps({"checks": [asdict(finding) for finding in findings]}, ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.name:14} {finding.found}")
            if finding.advice:
                print(f"{'':8} {'':14} -> {finding.advice}")
    if any(finding.state is State.FAILED for finding in findings):
        raise Exit(1)


def findings_of(path: Path | None) -> list[Finding]:
    """Return what is found of the machine, and of the configuration file at `path`; None means none is given."""
    try:
        config, configuration = read_config(path), Finding("configuration", State.OK, str(path or "the built-in one"))
    except ConfigError as error:
        config = read_config(None)
        configuration = Finding(
            "configuration", State.FAILED, str(error.faults[0]), f"see tandem check --config {path}"
        )
    checks: list[Callable[[], Finding]] = [_python, _packages, _redis, _models, _engine, _onnxruntime, _browser]
    return [*(check() for check in checks), configuration, _classifier(config), _port(config), _ledger(config)]


def _python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST:
        return Finding("python", State.FAILED, found, "use Python 3.11 or newer")
    return Finding("python", State.OK, found)


def _packages() -> Finding:
    if wrong := strays():
        return Finding("packages", State.FAILED, wrong, "remove the other ones from PYTHONPATH")
    return Finding("packages", State.OK, f"all four from {origins()['router']}")


def _redis() -> Finding:
    binary = find_binary()
    if binary is None:
        advice = "apt install redis-server, or set cache.url; until then replies are kept in the process"
        return Finding("redis", State.WARNING, "no redis-server or valkey-server", advice)
    answer = _ask([str(binary), "--version"])
    if answer is None:
        return Finding("redis", State.WARNING, f"{binary} does not run", "apt install redis-server")
    return Finding("redis", State.OK, f"{binary} ({' '.join(answer.split()[:3])})")


def _models() -> Finding:
    files = bundled()
    advice = "restore them with git checkout -- backends/engines/models, or run tandem train-models"
    if missing := [tier for tier in Tier if tier not in files]:
        return Finding("models", State.FAILED, f"no weights for {' and '.join(missing)}", advice)
    if damaged := [file.name for file in files.values() if not is_gguf(file)]:
        return Finding("models", State.FAILED, f"{', '.join(damaged)}: no GGUF", advice)
    return Finding("models", State.OK, ", ".join(file.name for file in files.values()))


def _engine() -> Finding:
    # In a process of its own: a wheel built for another processor ends the process that imports it.
    if _ask([sys.executable, "-c", "import xllamacpp"]) is None:
        return Finding("llama.cpp", State.FAILED, "xllamacpp cannot be imported", "remove .venv and run ./tandem again")
    return Finding("llama.cpp", State.OK, f"xllamacpp {metadata.version('xllamacpp')}")


def _onnxruntime() -> Finding:
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    if len(found) > 1:
        advice = "both write one folder: uninstall both, then install one"
        return Finding("onnxruntime", State.FAILED, " and ".join(found), advice)
    return Finding("onnxruntime", State.OK, found[0] if found else "not installed, not needed")


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        return Finding("browser", State.WARNING, "no chromium", "apt install chromium, or the browser test is skipped")
    return Finding("browser", State.OK, found)


def _classifier(config: Config) -> Finding:
    try:
        config.classifier.build()
    except WeightsError as error:
        advice = "fit them again with tandem train, or restore them with git checkout -- classifier/weights"
        return Finding("classifier", State.FAILED, str(error), advice)
    return Finding("classifier", State.OK, config.classifier.use)


def _port(config: Config) -> Finding:
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            if _is_tandem(host, port):
                return Finding("port", State.OK, f"{host}:{port}: a Tandem answers there already")
            advice = "stop what listens there, or choose another port"
            return Finding("port", State.FAILED, f"{host}:{port}: {error.strerror}", advice)
    return Finding("port", State.OK, f"{host}:{port} is free")


def _is_tandem(host: str, port: int) -> bool:
    """Tell whether what listens there says of both tiers whether they are ready."""
    connection = HTTPConnection(host, port, timeout=_ANSWERS_WITHIN)
    with closing(connection), suppress(OSError, HTTPException, ValueError, RecursionError):
        connection.request("GET", "/readyz")
        told = json.loads(connection.getresponse().read(_LONGEST_ANSWER))
        backends = told.get("backends") if isinstance(told, dict) else None
        return isinstance(backends, dict) and {tier.value for tier in Tier} <= backends.keys()
    return False


def _ledger(config: Config) -> Finding:
    place, name, way = config.ledger.place, str(config.ledger.place), ""
    if isinstance(place, SqlitePlace):
        path = place.path.absolute()
        name, way = str(path), " can be written"
        folder = next(parent for parent in path.parents if parent.exists())
        if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
            return Finding(
                "ledger", State.FAILED, f"{name} cannot be written", "set ledger.path to a file you may write"
            )
    seen = tried(place)
    if not seen.advice:
        if doubt := _doubt(place):
            advice = "set the clock; where it is right, wait, or stop the gateway and run ./tandem ledger retain"
            return Finding("ledger", State.WARNING, f"{name}: {doubt}", advice)
        return Finding("ledger", State.OK, f"{name}{way}: {seen.found}")
    state = State.WARNING if seen.is_usable else State.FAILED
    return Finding("ledger", state, f"{name}: {seen.found}", seen.advice)


def _doubt(place: LedgerPlace) -> str:
    """Return why nothing is erased; "" also where there is no ledger yet."""
    try:
        with reading(place) as opened:
            return doubt_in(opened)
    except (LedgerUnreadable, ValueError):  # a mark that is no time: ./tandem ledger verify names it
        return ""


def _ask(command: list[str]) -> str | None:
    """Return what a program says, None when it does not run or fails."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout
