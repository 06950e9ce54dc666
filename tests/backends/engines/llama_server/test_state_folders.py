"""backends/engines/llama_server/state_folders.py: what a killed process leaves goes, a living one's stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backends.engines.llama_server import state_folders
from backends.engines.llama_server.state_folders import StateFolder, sweep

ROOT = Path(__file__).parents[4]
MAKES_ONE_AND_HANGS = """
import sys, time
from pathlib import Path
from backends.engines.llama_server import state_folders
state_folders._MEMORY = Path(sys.argv[1])
folder = state_folders.StateFolder()
(folder.path / "1.state").write_bytes(b"x")
print(folder.path, flush=True)
time.sleep(10)
"""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, in the place of the kernel's."""
    monkeypatch.setattr(state_folders, "_MEMORY", tmp_path)
    monkeypatch.setattr(state_folders, "_ROOM", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_killed_process_s_folder_goes_and_a_living_one_s_stays(memory: Path) -> None:
    script = MAKES_ONE_AND_HANGS.replace("folder =", "state_folders._ROOM = 0\nfolder =")
    command = [sys.executable, "-c", script, str(memory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as child:
        assert child.stdout
        left = Path(child.stdout.readline().strip())
        assert left.name.startswith(f"tandem-slots-{child.pid}-")
        own = StateFolder()
        sweep()
        assert {*memory.iterdir()} == {left, own.path}
        assert (left / "1.state").exists()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    another = StateFolder()
    assert {*memory.iterdir()} == {own.path, another.path}
    for folder in (own, another):
        folder.close()
    assert not [*memory.iterdir()]


def test_what_is_none_of_ours_stays(memory: Path) -> None:
    (memory / "tandem-slots-oldnames").mkdir()
    (memory / "tandem-slots-1-file").touch()
    (memory / "others").mkdir()
    (memory / "tandem-slots-2-link").symlink_to(memory / "others")
    before = {*memory.iterdir()}
    sweep()
    assert {*memory.iterdir()} == before


def test_a_folder_that_is_swept_before_it_is_held_is_made_anew(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = state_folders._locked

    def once(path: Path) -> None:
        path.rmdir()
        monkeypatch.setattr(state_folders, "_locked", locked)

    monkeypatch.setattr(state_folders, "_locked", once)
    folder = StateFolder()
    assert [*memory.iterdir()] == [folder.path]
    folder.close()
