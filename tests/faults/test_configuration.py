"""Bad configuration files, at the start and while the gateway runs.

router/commands/serve.py, router/config/reading.py
"""

import asyncio
import importlib.util
import json
import signal
from pathlib import Path

import pytest

from router.bench.faults.asking import Caller
from router.bench.faults.base import OK
from router.bench.faults.house import House
from router.bench.faults.plan import plain
from router.commands.errors import BadConfiguration
from router.commands.program import run
from tests.router.config.test_reading import BAD


def test_there_are_fifty_bad_files() -> None:
    assert len(BAD) >= 50


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_ends_the_start_with_its_place_and_the_exit_code_of_configurations(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, fault = BAD[name]
    path = tmp_path / "tandem.yaml"
    path.write_text(text)
    assert run(["serve", "--config", str(path)]) == BadConfiguration.exit_code
    said = capsys.readouterr()
    assert f"{path}:{fault}" in said.err
    assert "Traceback" not in said.err


@pytest.mark.asyncio(loop_scope="session")
async def test_a_bad_file_that_is_read_again_changes_nothing_and_a_good_one_does(house: House) -> None:
    if importlib.util.find_spec("router.running.reloading") is None:
        pytest.skip("the gateway does not read its file again")
    path = house.folder / "tandem.yaml"
    gateway = house.process("gateway")
    caller = Caller(house.address)
    asked = iter(plain(900, 400, plays=("ok",), leaves=0.0).asked)

    async def version() -> str:
        got = await caller.ask(next(asked))
        assert got.status == OK, got.body
        return got.headers["x-tandem-config"]

    before = await version()
    for text, _ in BAD.values():
        path.write_text(text)
        gateway.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.01)
        assert await version() == before
    good = {**house.configuration, "policy": {"use": "threshold", "threshold": 0.6}}
    path.write_text(json.dumps(good))
    gateway.send_signal(signal.SIGHUP)
    for _ in range(200):
        if await version() != before:
            break
        await asyncio.sleep(0.01)
    assert await version() != before
    path.write_text(json.dumps(house.configuration))
    gateway.send_signal(signal.SIGHUP)
    for _ in range(200):
        if await version() == before:
            break
        await asyncio.sleep(0.01)
    assert await version() == before
    caller.close()
    assert gateway.poll() is None
