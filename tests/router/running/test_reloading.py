"""router/running/reloading.py, router/running/vetting.py, router/app.py.

Another configuration answers, and no request notices.
"""

import asyncio
import gc
import json
import os
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from backends.base import ConnectFailed
from router.app import Tandem
from router.config.faults import ConfigError
from router.config.reading import Chosen, read_chosen
from router.ledger.reading import iter_requests
from router.running.reloading import FIXED, Reloaded, Reloader
from tests.router.conftest import chat
from tests.router.scripted import SCRIPTS

CHAT = "/v1/chat/completions"
KIND = "tests.router.scripted:ScriptedOptions"


@dataclass
class Running:
    """A gateway with its file."""

    app: Tandem
    client: httpx2.AsyncClient
    reloader: Reloader
    file: Path

    def write(self, **more: object) -> None:
        write(self.file, **more)

    async def ask(self, **more: object) -> httpx2.Response:
        return await self.client.post(CHAT, json=chat(**more))  # type: ignore[arg-type]  # fields of a body


def write(file: Path, **more: object) -> None:
    parts: dict[str, object] = {
        "backends": {
            tier: {"use": KIND, "tier": tier, "model": tier[0], "price": f"desk-{tier}"} for tier in ("large", "mini")
        },
        "classifier": {"use": "rules"},
        "policy": {"use": "explicit", "tier": "mini"},
        "cache": {"enabled": False},
        "ledger": {"path": str(file.with_name("l.db"))},
    }
    file.write_text(json.dumps({**parts, **more}, indent=1))


def spoil(file: Path, text: str | None) -> None:
    """Put text into the file, or take it away."""
    file.unlink() if text is None else file.write_text(text)


@asynccontextmanager
async def running(file: Path, **more: object) -> AsyncGenerator[Running, None]:
    write(file, **more)
    chosen = read_chosen(file)
    app = Tandem(chosen.config)

    async def change(later: Chosen) -> None:
        await app.change(later.config)

    async with app.running():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as client:
            yield Running(app, client, Reloader(file, chosen.config, change, reloads=app.reloads), file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tandem.yaml"


def rows(file: Path) -> list[dict[str, object]]:
    return [dict(row) for row in iter_requests(file.with_name("l.db"))]


async def test_the_next_request_is_answered_by_what_the_file_says_now(file: Path) -> None:
    async with running(file) as house:
        before = await house.ask()
        house.write(policy={"use": "explicit", "tier": "large"})
        done = await house.reloader.reload()
        after = await house.ask()
        assert (before.headers["x-tandem-tier"], after.headers["x-tandem-tier"]) == ("mini", "large")
        assert done == Reloaded("done", after.headers["x-tandem-config"])
        assert before.headers["x-tandem-config"] != done.config
        assert (await house.reloader.reload()).result == "unchanged"
        figures = (await house.client.get("/metrics")).text
        assert f'tandem_config_info{{version="{done.config}"}} 1.0' in figures
        assert 'tandem_config_reloads_total{result="done"} 1.0' in figures
        assert 'tandem_requests_total{outcome="answered",tier="mini"} 1.0' in figures  # of the one that has ended
        assert 'tandem_requests_total{outcome="answered",tier="large"} 1.0' in figures


async def test_a_stream_ends_on_the_configuration_that_it_began_with(file: Path) -> None:
    async with running(file) as house:
        script = SCRIPTS["mini"]
        script.events = (*script.events[:1], 0.2, *script.events[1:])
        streaming = asyncio.create_task(house.ask(stream=True))
        await asyncio.sleep(0.05)
        house.write(policy={"use": "explicit", "tier": "large"})
        await house.reloader.reload()
        assert house.app.gateways == 2
        assert (await house.ask()).headers["x-tandem-tier"] == "large"
        answer = await streaming
        assert answer.headers["x-tandem-tier"] == "mini"
        assert answer.text.endswith("data: [DONE]\n\n")
        await asyncio.sleep(0.05)
        assert house.app.gateways == 1
    assert [row["outcome"] for row in rows(file)] == ["answered"] * 2


async def test_twenty_reloads_under_load_fail_nobody_and_lose_no_record(file: Path) -> None:
    async with running(file) as house:
        answers: list[httpx2.Response] = []
        ends = False

        async def ask_on() -> None:
            while not ends:
                answers.append(await house.ask(stream=len(answers) % 2 == 0))

        callers = [asyncio.create_task(ask_on()) for _ in range(4)]
        for number in range(20):
            house.write(policy={"use": "explicit", "tier": ("large", "mini")[number % 2]})
            assert (await house.reloader.reload()).result == "done"
        ends = True
        await asyncio.gather(*callers)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.text.endswith("[DONE]\n\n") for answer in answers if b'stream":true' in answer.request.content)
    assert len({answer.headers["x-tandem-config"] for answer in answers}) == 2
    assert [row["outcome"] for row in rows(file)] == ["answered"] * len(answers)


BAD = {
    "no: [mapping": "1:",
    "[]": "1:1",
    '{"policy": {"use": "explicit", "tier": "middle"}}': "policy.tier",
    '{"server": {"prot": 1}}': "server.prot",
    '{"cache": {"url": "redis://u:SECRET-WORD@h/x"}}': "cache.url",
    '{"policy": {"use": "cascade", "verifier": "/nowhere"}}': "policy.verifier",
    '{"prices": "/nowhere.toml"}': "prices",
    '{"classifier": {"use": "linear", "weights": "/nowhere.npz"}}': "classifier.weights",
}


@pytest.mark.parametrize("text", BAD)
async def test_a_file_with_a_fault_changes_nothing_and_the_fault_has_its_place_and_no_secret(
    file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(file) as house:
        before = (await house.ask()).headers["x-tandem-config"]
        ledger = {"path": str(file.with_name("l.db"))}
        spoil(file, json.dumps({"ledger": ledger, **json.loads(text)}, indent=1) if text[0] == "{" else text)
        refused = await house.reloader.reload()
        assert (refused.result, refused.config) == ("refused", before)
        said = "\n".join(map(str, refused.faults))
        assert said.startswith(f"{file}:")
        assert BAD[text] in said
        assert "SECRET-WORD" not in said + caplog.text
        assert said.split("\n")[0] in caplog.text
        assert (await house.ask()).headers["x-tandem-config"] == before
        assert 'tandem_config_reloads_total{result="refused"} 1.0' in (await house.client.get("/metrics")).text


async def test_what_was_opened_before_any_gateway_is_refused_by_its_line(file: Path) -> None:
    async with running(file) as house:
        house.write(server={"port": 1, "workers": 3, "drain_timeout": 1}, ledger={"path": "other.db"})
        refused = await house.reloader.reload()
        assert [fault.path for fault in refused.faults] == ["ledger", "server.port", "server.workers"]
        assert all(fault.line > 1 and "start it anew" in str(fault) for fault in refused.faults)
    assert set(FIXED) > {"server.host", "logs"}


async def test_a_backend_that_cannot_be_opened_leaves_the_old_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(file) as house:
        monkeypatch.setattr("tests.router.scripted.ScriptedOptions.build", _fail)
        house.write(policy={"use": "explicit", "tier": "large"})
        for error, told in ((ConnectFailed("no engine"), "no engine"), (ZeroDivisionError("SECRET"), "ZeroDivision")):
            _fail.error = error  # type: ignore[attr-defined]  # a function can hold what it raises
            (fault,) = (await house.reloader.reload()).faults
            assert told in fault.message
            assert "SECRET" not in fault.message
        assert (await house.ask()).headers["x-tandem-tier"] == "mini"
        assert house.app.gateways == 1


def _fail(_options: object) -> object:
    raise _fail.error  # type: ignore[attr-defined]  # as above


async def test_a_file_that_is_watched_is_read_when_its_content_changes_and_told_of_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(file) as house:
        watching = asyncio.create_task(house.reloader.watch(0.02))
        await asyncio.sleep(0.05)
        spoil(file, "no: [mapping")
        await asyncio.sleep(0.15)
        assert caplog.text.count("is not taken") == 1
        spoil(file, None)
        await asyncio.sleep(0.05)
        os.mkfifo(file)  # to be opened like a file, it would be waited for
        await asyncio.sleep(0.05)
        spoil(file, None)
        house.write(policy={"use": "explicit", "tier": "large"})
        await asyncio.sleep(0.3)
        assert (await house.ask()).headers["x-tandem-tier"] == "large"
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        await Reloader(None, house.app.config, _never, reloads=house.app.reloads).watch(0.01)  # nothing to look at


async def _never(_chosen: Chosen) -> None:
    raise ConfigError(())


async def test_nothing_of_an_earlier_configuration_is_left(file: Path) -> None:
    async with running(file) as house:
        opened = house.app._opened
        assert opened is not None
        earlier = weakref.ref(opened)
        del opened
        await house.ask()
        house.write(policy={"use": "explicit", "tier": "large"})
        await house.reloader.reload()
        await house.ask()
        await asyncio.sleep(0.05)
        gc.collect()
        assert earlier() is None
