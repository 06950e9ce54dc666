"""Tests router/dashboard/pages.py: pages, files and headers, over a real ledger."""

import asyncio
import hashlib
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from router.alerts.base import Alert
from router.base import Tier
from router.dashboard import pages
from router.dashboard.base import BackendHealth, DashboardView
from router.dashboard.pages import dashboard_routes
from router.ledger.hosting import Standing
from router.ledger.reading import read_window
from router.ledger.views import Reading, Window
from tests.router.dashboard.hand_written import NOW, ask_many, create, write_an_hour

HERE = Path(pages.__file__).parent
HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


async def backends() -> Sequence[BackendHealth]:
    return (BackendHealth(Tier.LARGE, HOSTILE, ready=True, price=None),)


async def nobody() -> Sequence[BackendHealth]:
    return ()


def client_of(ledger: Path, **more: object) -> httpx2.AsyncClient:
    known: dict[str, Any] = {"version": "9.9.9", "backends": backends, "cache_kind": "in-process store"}
    known |= {"policy": "threshold@1", "threshold": 0.42, "clock": lambda: NOW, **more}
    view = DashboardView(ledger=ledger, **known)
    transport = httpx2.ASGITransport(Starlette(routes=dashboard_routes(view)))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    write_an_hour(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


@pytest.fixture
async def client(ledger: Path) -> AsyncGenerator[httpx2.AsyncClient, None]:
    async with client_of(ledger) as client:
        yield client


async def test_the_page_tells_the_figures_of_the_ledger(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/dashboard?span=1h")
    assert answer.status_code == 200
    for said in ("$0.048", "59% less", "$0.034", "$0.082", "83%", "501 ms", "29%", "Mini stood in", "failed 502"):
        assert said in answer.text
    assert "all-Large without caches. A point estimate: the same tokens at Large’s price." in answer.text
    assert "1 request left out: price or token usage unknown." in answer.text
    assert re.search(r"95% interval: – [^.]*", answer.text)
    assert "wrong by 0.5% at most" in answer.text


async def test_what_fires_stands_on_top_and_is_counted_beside(ledger: Path) -> None:
    alert = Alert("error_rate", (("tenant", HOSTILE),), NOW, HOSTILE, HOSTILE)
    async with client_of(ledger, alarms=lambda: [alert]) as client:
        page = (await client.get("/dashboard?span=1h")).text
    assert "1 alert firing" in page
    assert page.index('id="alarms"') < page.index('id="saved"')
    assert "<img" not in page
    async with client_of(ledger, alarms=list) as client:
        page = (await client.get("/dashboard?span=1h")).text
    assert "No alert fires" in page
    assert 'id="alarms"' not in page


async def test_gpus_of_our_own_are_told_for_as_long_as_there_was_a_ledger(ledger: Path) -> None:
    asked: list[tuple[dict[str, int], float, float]] = []

    def standings(allocated: dict[str, int], *, since: float, until: float) -> list[Standing]:
        asked.append((allocated, since, until))
        return [Standing("own", 1, 3_000_000_000)]

    async with client_of(ledger, standings=standings) as client:
        page = (await client.get("/dashboard?span=24h")).text
    assert "Own GPUs, idle" in page
    assert "$3.00" in page
    ((allocated, since, until),) = asked
    assert (since, until) == (NOW - 9_000, NOW)
    assert allocated[HOSTILE] == 0  # a backend that nobody asked


async def test_a_doubtful_share_of_money_is_marked(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/dashboard?span=1h")).text
    money = page[page.index('id="money"') : page.index('id="latest"')]
    assert '<tr class="warn">' in money
    assert "1 of the requests that ended, in no figure of money" in money


@pytest.mark.parametrize("path", ["/", "/dashboard/"])
async def test_who_asks_nearby_is_sent_to_the_page(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, "/dashboard")


async def test_the_live_part_is_the_pages_own(client: httpx2.AsyncClient) -> None:
    page, live = [(await client.get(path)).text for path in ("/dashboard?span=1h", "/dashboard/live?span=1h")]
    assert "<html" not in live
    overview = live[live.index('<div id="overview"') :].strip().splitlines()
    assert "\n".join(line.strip() for line in overview) in "\n".join(line.strip() for line in page.splitlines())


async def test_stored_text_is_escaped_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    create(path)
    texts = dict.fromkeys(("tenant", "model", "reason", "policy", "scorer", "error", "caller_id", "arm"), HOSTILE)
    ask_many(path, [{"id": HOSTILE, **texts}])
    async with client_of(path, cache_kind=HOSTILE, policy=HOSTILE, version=HOSTILE) as client:
        page = (await client.get("/dashboard?span=1h")).text
    assert page.count("<script") == 1  # our own
    assert "<img" not in page
    assert page.count("&lt;script&gt;") >= 8


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/live?span=7d", "/dashboard/static/dashboard.js"])
async def test_every_answer_forbids_what_is_not_served_from_here(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


async def test_the_markup_has_no_inline_script_or_style_and_no_outside_address(ledger: Path) -> None:
    async with client_of(ledger, backends=nobody) as client:
        page = (await client.get("/dashboard?span=7d")).text
    assert re.search(r"<style|\sstyle=|\son\w+=|javascript:", page) is None
    assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]
    assert re.search(r"(?:src|href)=\"(?!/dashboard)", page) is None


async def test_the_span_follows_the_ledgers_age_unless_one_is_named(client: httpx2.AsyncClient) -> None:
    assert 'data-span="24h"' in (await client.get("/dashboard")).text  # the oldest came 9,000 s ago
    assert 'data-span="30d"' in (await client.get("/dashboard?span=30d")).text


@pytest.mark.parametrize("path", ["/dashboard?span=9y", "/dashboard/live", "/dashboard/live?span=<script>"])
async def test_an_unknown_span_is_refused_and_not_repeated(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert answer.text == "no such span: choose one of 1h, 24h, 7d, 30d\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_an_empty_ledger_shows_the_command_that_fills_it(tmp_path: Path) -> None:
    create(tmp_path / "ledger.db")
    async with client_of(tmp_path / "ledger.db") as client:
        page = (await client.get("/dashboard")).text
        assert "curl http://127.0.0.1:8080/v1/chat/completions" in page
        evil = (await client.get("/dashboard", headers={"host": "x;rm$(id)"})).text
    assert "rm$" not in evil


async def test_a_ledger_that_cannot_be_read_is_said_without_its_path(tmp_path: Path) -> None:
    async with client_of(tmp_path / "secret-place.db") as client:
        answer = await client.get("/dashboard/live?span=1h")
    assert answer.status_code == 200
    assert "the ledger cannot be read" in answer.text
    assert "secret-place" not in answer.text


async def test_backends_that_do_not_say_how_they_are_do_not_hold_the_page(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> Sequence[BackendHealth]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(pages, "_HEALTH_TIMEOUT", 0.05)
    async with client_of(ledger, backends=silent) as client:
        answer = await asyncio.wait_for(client.get("/dashboard/live?span=1h"), 5)
    assert "Backends have not answered" in answer.text


async def test_many_who_look_at_once_share_one_reading(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0

    def counted(path: Path, window: Window, *, latest: int) -> Reading:
        nonlocal readings
        readings += 1
        return read_window(path, window, latest=latest)

    monkeypatch.setattr(pages, "read_window", counted)
    async with client_of(ledger) as client:
        await asyncio.gather(*(client.get("/dashboard/live?span=1h") for _ in range(20)))
    assert readings == 1


async def test_a_reading_is_not_shown_for_longer_than_its_time(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_FRESH", 0.0)
    monkeypatch.setattr(pages, "_REST", 0.0)
    async with client_of(ledger) as client:
        assert "newcomer" not in (await client.get("/dashboard/live?span=1h")).text
        ask_many(ledger, [{"id": "z", "tenant": "newcomer"}])
        assert "newcomer" in (await client.get("/dashboard/live?span=1h")).text


@pytest.mark.parametrize(
    "path", ["..%2fpages.py", "vendor/..%2f..%2fpages.py", "vendor/../../pages.py", "nothing.css", "", "vendor/"]
)
async def test_only_the_dashboards_own_files_are_served(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(f"/dashboard/static/{path}")).status_code == 404


async def test_files_the_browser_has_are_not_sent_again(client: httpx2.AsyncClient) -> None:
    path = "/dashboard/static/vendor/inter-latin-wght-normal.woff2"
    first = await client.get(path)
    assert first.headers["content-type"] == "font/woff2"
    assert (await client.get(path, headers={"if-none-match": first.headers["etag"]})).status_code == 304


def test_vendored_files_are_those_that_were_checked_in() -> None:
    lines = (HERE / "vendor" / "HASHES").read_text().splitlines()
    known = {name: digest for digest, name in (line.split("  ") for line in lines if not line.startswith("#"))}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (HERE / "vendor").iterdir()
        if path.name != "HASHES"
    }
    assert found == known


def test_templates_are_loaded_only_when_somebody_looks() -> None:
    script = "import sys, router.dashboard.pages as p; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=HERE.parents[1]).returncode == 0
