"""Tests `tandem` and `.ci/run`: the shell's part of the program."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("python3.12", "python3.11", "python3", "python3.13", "python3.14")
TOOLS = "sh cat cmp cp cut dirname head mkdir readlink rm sed sort touch".split()
"""What the launcher and its parts call beside Python."""

# Stands where .venv/bin/python is: says what it was started with.
ECHO = """#!/bin/sh
printf '%s\\n' "$PYTHONPATH" "$PYTHONSAFEPATH" "$PWD" "$@"
"""

# Stands for a Python on PATH: makes environments with the real one, whose pip then writes down what it is asked for.
# The real one is started without what a machine has put into it, which can take longer than all that it is asked.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin"
    cp "$PARTS/environment-python" "$3/bin/python"
    echo "venv" >>"$PARTS/log"
    exit 0
fi
exec {python} -I -S "$@"
"""
ENVIRONMENT_PYTHON = """#!/bin/sh
case "$1 $2" in
    "-m pip")
        shift 2
        echo "pip $*" >>"$PARTS/log"
        case "$*" in
            "config list") cat "$PARTS/pip-settings" ;;
            *" uv") cp "$PARTS/uv" "$(dirname "$0")/uv" ;;
            *dry-run*) [ -e "$PARTS/torch" ] ;;
            *) [ ! -e "$PARTS/offline" ] ;;
        esac ;;
    "-m router") echo "router $*" ;;
    *) exec {python} -I -S "$@" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >>"$PARTS/log"
[ ! -e "$PARTS/uv-fails" ]
"""


def checkout_at(folder: Path) -> Path:
    """Return a folder that holds the launcher and its locks."""
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "tandem", folder / "tandem")
    shutil.copytree(ROOT / "deploy/locks", folder / "deploy/locks")
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def call(
    launcher: Path, *arguments: str, path: str = os.defpath, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the launcher with nothing in the environment but what is named."""
    return subprocess.run(
        [str(launcher), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=cwd,
        env={"PATH": path, "HOME": "/nonexistent", **more},
    )


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A checkout whose environment is whole."""
    folder = checkout_at(tmp_path / "a checkout")
    (folder / ".venv/bin").mkdir(parents=True)
    script(folder / ".venv/bin/python", ECHO)
    shutil.copy(folder / "deploy/locks/base.txt", folder / ".venv/base.stamp")
    return folder


class Bare:
    """A checkout without an environment, on a machine whose Python, pip and uv write down what they are asked."""

    def __init__(self, folder: Path) -> None:
        self.checkout = checkout_at(folder / "checkout")
        self.parts = folder / "parts"
        self.bin = folder / "a bin"
        self.parts.mkdir()
        self.bin.mkdir()
        self.path = f"{self.bin}:{folder / 'tools'}"
        self.elsewhere = folder / "tools"
        self.elsewhere.mkdir()
        for name in TOOLS:
            (self.elsewhere / name).symlink_to(shutil.which(name, path=os.defpath) or name)
        real = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        script(self.parts / "environment-python", ENVIRONMENT_PYTHON.replace("{python}", str(real)))
        script(self.parts / "uv", UV)
        self.settings()
        script(self.bin / "python3", PYTHON.replace("{python}", str(real)))

    def settings(self, *lines: str) -> None:
        """Let pip say that it is configured so."""
        (self.parts / "pip-settings").write_text("".join(f"{line}\n" for line in lines))

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the launcher on this machine."""
        return call(self.checkout / "tandem", *arguments, path=self.path, PARTS=str(self.parts))

    def log(self) -> list[str]:
        """Return what was asked since the last look."""
        path = self.parts / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


@pytest.mark.parametrize("file", ["tandem", ".ci/run"])
def test_the_scripts_satisfy_shellcheck(file: str) -> None:
    shellcheck = Path(sysconfig.get_path("scripts")) / "shellcheck"
    found = subprocess.run([shellcheck, ROOT / file], capture_output=True, text=True, timeout=30, check=False)
    assert (found.returncode, found.stdout) == (0, "")
    assert os.access(ROOT / file, os.X_OK)


def test_the_program_gets_the_arguments_the_checkout_and_the_callers_folder(ready: Path, tmp_path: Path) -> None:
    done = call(ready / "tandem", "score", "two words", "", cwd=tmp_path)
    assert done.stdout.splitlines() == [str(ready), "1", str(tmp_path), "-m", "router", "score", "two words", ""]
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_through_links_to_it(ready: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "far").symlink_to(ready / "tandem")
    (folder / "near").symlink_to("far")
    assert call(folder / "near", cwd=tmp_path).stdout.splitlines()[0] == str(ready)


def test_a_whole_environment_is_left_alone(ready: Path) -> None:
    for name in PYTHONS:  # no Python is even tried
        script(ready / name, "#!/bin/sh\necho tried >&2\n")
    assert call(ready / "tandem", "version", path=f"{ready}:{os.defpath}").stderr == ""


def test_the_first_run_makes_the_environment_and_the_second_does_not(bare: Bare) -> None:
    first = bare.call("version")
    assert first.stdout == "router -m router version\n"
    asked = bare.log()
    assert asked[0] == "venv"
    assert [line for line in asked if line.startswith("uv ")] == [
        f"uv pip install -q --python {bare.checkout}/.venv/bin/python -r {bare.checkout}/deploy/locks/base.txt"
    ]
    second = bare.call("version")
    assert (second.stdout, second.stderr, bare.log()) == (first.stdout, "", [])


def test_another_lock_is_installed_into_the_same_environment(bare: Bare) -> None:
    bare.call("version")
    bare.log()
    lock = bare.checkout / "deploy/locks/base.txt"
    lock.write_text(lock.read_text() + "# another\n")
    bare.call("version")
    asked = bare.log()
    assert "venv" not in asked
    assert any(line.startswith("uv pip install") and line.endswith("base.txt") for line in asked)
    bare.call("version")
    assert bare.log() == []


def test_what_a_killed_run_left_is_made_anew(bare: Bare) -> None:
    bare.call("version")
    bare.log()
    (bare.checkout / ".venv/unfinished").touch()
    (bare.checkout / ".venv/half").touch()
    done = bare.call("version")
    assert bare.log()[0] == "venv"
    assert not (bare.checkout / ".venv/half").exists()
    assert "not whole" in done.stderr
    assert done.returncode == 0


def test_an_environment_whose_python_is_gone_is_made_anew(bare: Bare) -> None:
    bare.call("version")
    bare.log()
    python = bare.checkout / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert bare.call("version").returncode == 0
    assert bare.log()[0] == "venv"


def test_only_the_tests_install_the_development_lock(bare: Bare) -> None:
    bare.call("up")
    assert not any("dev.txt" in line for line in bare.log())
    done = bare.call("test", "-k", "x")
    assert done.stdout == "router -m router test -k x\n"
    assert any("dev.txt" in line for line in bare.log())


@pytest.mark.parametrize("command", ["train --help", "bench routing", "export --out a.parquet"])
def test_what_fits_weights_is_installed_once_for_the_commands_that_need_it(command: str, bare: Bare) -> None:
    for _ in range(2):
        assert bare.call(*command.split()).stdout == f"router -m router {command}\n"
    assert sum("fit.txt" in line for line in bare.log()) == 1


@pytest.mark.parametrize("command", ["serve", "train-models"])
def test_what_fits_weights_is_not_installed_for_other_commands(command: str, bare: Bare) -> None:
    assert bare.call(*command.split()).returncode == 0
    assert not any("fit.txt" in line for line in bare.log())


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_commands_that_read_tables_or_fit_weights_are_told_from_all_others(shell: str) -> None:
    fits = re.search(r"^fits\(\) \{.*?^\}$", (ROOT / "tandem").read_text(), re.DOTALL | re.MULTILINE)
    assert fits is not None
    fitting = {
        *("train", "train --help", "train-verifier", "eval", "calibrate", "certify", "experiment list", "replay"),
        *("prices lint", "savings", "bench routing", "bench numbers --quick", "export labels --format parquet"),
        *("export --out=a.parquet", "train-encoder --data a.parquet"),
    }
    others = {
        *("", "serve", "up", "score", "score a.parquet", "export", "export --format csv", "train-encoder --data a"),
        *("train-models", "bench", "bench gateway", "bench routings", "evaluate", "test -k train", "ledger verify"),
    }
    each = f'current() {{ false; }}\n{fits[0]}\nwhile read -r line; do fits $line && echo "$line"; done; true'
    lines = "".join(f"{command}\n" for command in (*fitting, *others))
    told = subprocess.run([shell, "-c", each], input=lines, capture_output=True, text=True, timeout=30, check=True)
    assert set(told.stdout.splitlines()) == fitting
    assert told.stderr == ""


@pytest.mark.parametrize("command", ["train-mini", "train-models", "bench engine"])
def test_what_trains_is_installed_once_with_a_torch_without_cuda(command: str, bare: Bare) -> None:
    (bare.parts / "torch").touch()
    for _ in range(2):
        assert bare.call(*command.split(), "--help").stdout == f"router -m router {command} --help\n"
    (asked,) = [line for line in bare.log() if line.startswith("uv ") and "train.txt" in line]
    assert asked.endswith("torch-cpu.txt torch==2.13.0+cpu")


def test_what_trains_says_how_to_get_torch_and_is_run_all_the_same(bare: Bare) -> None:
    done = bare.call("train-mini", "--from", "desk")
    assert done.stdout == "router -m router train-mini --from desk\n"
    assert "run ./tandem train-mini again" in done.stderr


def test_a_missing_torch_is_named_with_the_way_to_have_it(bare: Bare) -> None:
    done = bare.call("test")
    assert "tests that do are skipped" in done.stderr
    assert "PIP_EXTRA_INDEX_URL=" in done.stderr
    assert not any("train.txt" in line for line in bare.log())


def test_uv_is_told_what_pip_is_configured_with(bare: Bare) -> None:
    bare.settings(
        "global.cert='/certificates.pem'",
        "global.extra-index-url='\\nfile:///packages/simple\\nhttps://more.example/simple'",
        "global.find-links='/never'",
        "install.find-links='/wheels /more-wheels'",
        ":env:.index-url='https://index.example/simple'",
    )
    bare.call("version")
    (asked,) = [line for line in bare.log() if line.startswith("uv ")]
    assert asked.endswith(
        "base.txt --find-links /wheels --find-links /more-wheels --index-url https://index.example/simple"
        " --extra-index-url https://more.example/simple --index-strategy unsafe-best-match"
    )


def test_pip_installs_what_uv_could_not(bare: Bare) -> None:
    (bare.parts / "uv-fails").touch()
    done = bare.call("version")
    assert any(line.startswith("pip install") and line.endswith("base.txt") for line in bare.log())
    assert "pip tries" in done.stderr
    assert done.stdout == "router -m router version\n"


def test_a_failed_installation_ends_the_run_and_the_next_one_goes_on(bare: Bare) -> None:
    (bare.parts / "uv-fails").touch()
    (bare.parts / "offline").touch()
    done = bare.call("version")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the next run tries again" in done.stderr
    bare.log()
    (bare.parts / "offline").unlink()
    assert bare.call("version").stdout == "router -m router version\n"
    assert "venv" not in bare.log()


def test_two_first_runs_at_once_make_one_environment(bare: Bare) -> None:
    runs = [
        subprocess.Popen(
            [bare.checkout / "tandem", "version"],
            env={"PATH": bare.path, "PARTS": str(bare.parts)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    assert [run.communicate(timeout=30)[0] for run in runs] == ["router -m router version\n"] * 2
    asked = bare.log()
    assert asked.count("venv") == 1
    assert len([line for line in asked if line.startswith("uv ")]) == 1


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("#!/bin/sh\nexit 1\n", "no Python 3.11 or newer"),
        ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n', "apt install python3-venv"),
    ],
    ids=["too old", "without ensurepip"],
)
def test_a_machine_without_a_fit_python_is_told_what_to_install(bare: Bare, python: str, words: str) -> None:
    script(bare.bin / "python3", python)
    done = bare.call("version")
    assert done.returncode == 1
    assert words in done.stderr
    assert not (bare.checkout / ".venv").exists()


def test_of_two_builds_of_one_python_the_quicker_one_is_taken(bare: Bare) -> None:
    slow = (bare.bin / "python3").read_text()
    log = 'case "$*" in *timeit*) echo {}; exit ;; "-m venv"*) echo {} >>"$PARTS/log" ;; esac\n'
    for folder, seconds in ((bare.bin, "2.5e-3"), (bare.elsewhere, "9e-4")):
        script(folder / "python3", slow.replace("\n", "\n" + log.format(seconds, folder.name), 1))
    assert bare.call("version").stdout == "router -m router version\n"
    assert bare.log()[0] == "tools"


@pytest.mark.parametrize("lock", sorted((ROOT / "deploy/locks").glob("*.txt")), ids=lambda path: path.stem)
def test_a_lock_pins_each_package_and_names_no_place(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    assert lines
    for line in lines:
        assert "==" in line.split(";")[0]
        assert not line.startswith("-")
        assert "/" not in line
        assert "+cpu" not in line


def test_the_locks_hold_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {"base": project["dependencies"], **project["optional-dependencies"]}
    for name in ("base", "dev", "train"):
        pinned = {re.split(r"[=\s]", line)[0] for line in (ROOT / f"deploy/locks/{name}.txt").read_text().splitlines()}
        wanted = {re.split(r"[<>=;\[\s]", requirement)[0].lower() for requirement in asked[name]}
        assert wanted - pinned <= {"torch"}  # stands alone, as a constraint


def test_the_locks_agree_on_every_package() -> None:
    pins: dict[str, set[str]] = {}
    for lock in (ROOT / "deploy/locks").glob("*.txt"):
        for line in lock.read_text().splitlines():
            name, _, version = line.split(";")[0].strip().partition("==")
            pins.setdefault(f"{name}{line.partition(';')[2].replace(' ', '')}", set()).add(version)
    assert {name for name, versions in pins.items() if len(versions) > 1} == set()
