"""The OpenAI SDK's own tests of its resources, against a running Tandem: router/endpoints of the OpenAI wire.

The tests come with the SDK's source distribution, of the version that is installed, and are fetched by pip; nothing
of them is kept here. Where no registry can be reached, that is said and this test is skipped.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import openai
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as TextParams
from openai.types.embedding_create_params import EmbeddingCreateParams

from tests.end_to_end import sdk_seeds
from tests.end_to_end.conftest import Wired

ROOT = Path(__file__).parents[2]
PLUGIN = Path(sdk_seeds.__file__)
RESOURCES = (
    "chat",
    "test_models.py",
    "test_embeddings.py",
    "test_completions.py",
    "test_responses.py",
    "responses",
    "test_conversations.py",
    "conversations",
)
DELETING = "models are configured, and no request deletes one"
EXCLUDING = "it sends conversation with previous_response_id, which the SDK's own words exclude; and a template's name"
NOT_OURS = {
    "test_models.py::{}Models::test_method_delete": DELETING,
    "test_models.py::{}Models::test_raw_response_delete": DELETING,
    "test_models.py::{}Models::test_streaming_response_delete": DELETING,
    "test_responses.py::{}Responses::test_method_create_with_all_params": EXCLUDING,
    "responses/test_input_tokens.py::{}InputTokens::test_method_count_with_all_params": EXCLUDING,
}
"""What cannot apply, and why. Left out is also the third repetition of each test, over aiohttp: a transport of the
client's own, and an extra of it."""
SHOWN = 8_000  # characters of what the suite said
FEWEST = 400  # tests that there must be, or the suite was not found
FETCHED_WITHIN = 90  # seconds
ENDED_WITHIN = 120  # seconds


@dataclass(frozen=True)
class Suite:
    """What a run of the suite came to."""

    passed: int
    failed: tuple[str, ...]
    said: str


@pytest.fixture(scope="module")
def sources() -> Path:
    """Return the folder of the SDK's source distribution; fetched once for each version, and kept."""
    name = f"openai-{openai.__version__}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem-tests"
    if not (cache / name / "tests" / "conftest.py").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _fetch(name.replace("openai-", "openai=="), Path(folder))
            with tarfile.open(Path(folder, f"{name}.tar.gz")) as archive:
                for each in archive:  # by hand: 3.11.2 cannot extract only what is safe
                    is_wanted = each.isfile() and each.name.startswith((f"{name}/tests/", f"{name}/pyproject.toml"))
                    file = archive.extractfile(each) if is_wanted else None
                    if file is not None:
                        path = Path(folder, each.name)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(file.read())
            Path(folder, name).rename(cache / name)
    return cache / name


def _fetch(requirement: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        subprocess.run(
            [*pip, "--no-binary", "openai", "--dest", folder, requirement],
            check=True,
            timeout=FETCHED_WITHIN,
            capture_output=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, FileNotFoundError) as error:
        pytest.skip(f"NOT PROVEN: the SDK's own suite could not be fetched ({type(error).__name__}): no registry?")


@pytest.fixture(scope="module")
def suite(sources: Path, wired: Wired, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Run the suite once."""
    return _run(sources, wired, tmp_path_factory.mktemp("suite") / "report.xml")


def _run(sources: Path, wired: Wired, report: Path) -> Suite:
    options = ["-q", "--tb=short", "-k", "not aiohttp", "-p", "no:cacheprovider", "-o", "addopts=", "-p", PLUGIN.stem]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "PYTEST", "COV"))},
        "TEST_API_BASE_URL": wired.url,
        "TANDEM_STORED": str(wired.stored),
        "PYTHONPATH": os.pathsep.join((str(PLUGIN.parent), str(ROOT))),
    }
    tests = [f"tests/api_resources/{resource}" for resource in RESOURCES]
    leaving = [
        f"--deselect=tests/api_resources/{name.format(kind)}" for name in NOT_OURS for kind in ("Test", "TestAsync")
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *leaving, f"--junitxml={report}", *tests],
        cwd=sources,
        env=environment,
        check=False,
        timeout=ENDED_WITHIN,
        capture_output=True,
        text=True,
    )
    said = ended.stdout + ended.stderr
    assert report.exists(), said
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314  (written by pytest a moment ago)
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    names = tuple(f"{case.get('classname')}.{case.get('name')}" for case in failed)
    return Suite(len(cases) - len(failed), names, said[-SHOWN:])


def test_every_test_of_the_resources_that_we_have_passes(suite: Suite) -> None:
    assert not suite.failed, suite.said
    assert suite.passed >= FEWEST, suite.said


def test_each_documented_field_came_to_the_backend(suite: Suite, wired: Wired) -> None:
    assert suite.passed
    for path, params in (
        ("/v1/chat/completions", ChatParams),
        ("/v1/completions", TextParams),
        ("/v1/embeddings", EmbeddingCreateParams),
    ):
        assert params.__annotations__.keys() <= wired.upstream.fields[path], path
