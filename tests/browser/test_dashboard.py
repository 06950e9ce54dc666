"""Tests the dashboard in a real browser: router/dashboard/ as served, with its own script and style."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright
from starlette.applications import Starlette

from router.alerts.base import Alert
from router.base import Price, Tier
from router.dashboard.base import BackendHealth, DashboardView
from router.dashboard.pages import dashboard_routes
from router.ledger.hosting import Standing
from tests.router.dashboard.hand_written import MILLION, NOW, ask, create, write_an_hour

CHROMIUM = Path("/usr/bin/chromium")
NO_GPU = ("--disable-gpu", "--disable-software-rasterizer")  # nothing drawn here wants one, and none is emulated
AXE = os.environ.get("AXE_CORE", "")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: apt-get install chromium")


class Served:
    """A dashboard on a free port of 127.0.0.1, in a thread of its own, with a clock that goes on from NOW."""

    def __init__(self, ledger: Path) -> None:
        began = time.monotonic()
        self.ledger = ledger
        self.alarms: list[Alert] = []
        view = DashboardView(
            ledger=ledger,
            version="9.9.9",
            backends=_backends,
            cache_kind="in-process store",
            policy="threshold@1",
            threshold=0.42,
            alarms=lambda: self.alarms,
            standings=_standings,
            clock=lambda: NOW + min(time.monotonic() - began, 3.0),  # in the same minute however long a test takes
        )
        config = uvicorn.Config(Starlette(routes=dashboard_routes(view)), lifespan="off", log_level="warning")
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._socket])))
        self._thread.start()

    def close(self) -> None:
        """Stop serving; a second time does nothing."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


async def _backends() -> Sequence[BackendHealth]:
    price = Price("big", "p1", 400_000, 40_000, 2_000_000)
    return (
        BackendHealth(Tier.LARGE, "big", ready=True, price=price),
        BackendHealth(Tier.MINI, "small", ready=True, price=price),
    )


def _standings(allocated: Mapping[str, int], *, since: float, until: float) -> Sequence[Standing]:
    return [Standing(model, cost, int(until - since) * MILLION) for model, cost in allocated.items()]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", *NO_GPU]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Generator[Callable[[Path], Served], None, None]:
    started: list[Served] = []

    def start(ledger: Path) -> Served:
        started.append(Served(ledger))
        return started[-1]

    yield start
    for served in started:
        served.close()


@pytest.fixture
def dashboard(tmp_path: Path, serve: Callable[[Path], Served]) -> Served:
    write_an_hour(tmp_path / "ledger.db")
    return serve(tmp_path / "ledger.db")


def _failed(request: Request) -> list[str]:
    """Return a complaint, but not of what the next page cut off: that is how a browser leaves a page."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"{request.url} failed: {request.failure}"]


@pytest.fixture
def page(browser: Browser, serve: Callable[[Path], Served]) -> Generator[Page, None, None]:
    """Give a page that must neither complain nor ask anyone but 127.0.0.1; it is closed before its gateway."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.extend(_failed(request)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield page
    context.close()
    assert hosts == {"127.0.0.1"}
    assert not [each for each in complaints if "/dashboard/live" not in each]  # cut off by the end of the test


def test_figures_are_shown_and_a_new_request_appears_by_itself(page: Page, dashboard: Served) -> None:
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    expect(page.locator("#saved .sum")).to_have_text("$0.048 59% less")
    expect(page.locator("#figure-2 .value")).to_have_text("8")
    expect(page.locator("#latest tbody tr")).to_have_count(8)
    page.evaluate("document.querySelector('h1').dataset.same = 'yes'")
    ask(dashboard.ledger, "new", started=NOW, tenant="late-comer", first_byte=0.1, cost=0, baseline=18 * MILLION)
    expect(page.locator("#figure-2 .value")).to_have_text("9", timeout=6_000)
    expect(page.locator("#saved .sum")).to_have_text("$0.066 66% less")
    expect(page.locator("#latest tbody tr").first).to_contain_text("late-comer")
    assert page.locator("h1").get_attribute("data-same") == "yes"  # the page was not loaded again


def test_what_did_not_change_is_left_in_its_place(page: Page, dashboard: Served) -> None:
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    page.evaluate("document.getElementById('machine').dataset.same = 'yes'")
    with page.expect_response("**/dashboard/live?span=1h"):
        pass
    with page.expect_response("**/dashboard/live?span=1h"):
        pass
    assert page.locator("#machine").get_attribute("data-same") == "yes"


def test_an_empty_page_fills_with_the_first_request(
    page: Page, tmp_path: Path, serve: Callable[[Path], Served]
) -> None:
    create(tmp_path / "ledger.db")
    served = serve(tmp_path / "ledger.db")
    page.goto(f"{served.url}/dashboard")
    expect(page.locator("#first-run")).to_contain_text(f"curl {served.url}/v1/chat/completions")
    ask(served.ledger, "first", cost=1, baseline=2)
    expect(page.locator("#latest tbody tr")).to_have_count(1, timeout=6_000)
    expect(page.locator("#first-run")).to_have_count(0)


def test_the_theme_follows_the_system_until_one_is_chosen_and_stays(page: Page, dashboard: Served) -> None:
    light, dark = "rgb(246, 246, 244)", "rgb(14, 14, 17)"
    page.goto(f"{dashboard.url}/dashboard")
    expect(page.locator("body")).to_have_css("background-color", light)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", dark)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("body")).to_have_css("background-color", light)
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", light)


def test_spans_are_links_that_work_from_the_keyboard(page: Page, dashboard: Served) -> None:
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    page.get_by_role("link", name="30d").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#saved h2").first).to_have_text("Saved in the last 30 days")
    expect(page.get_by_role("link", name="30d")).to_have_attribute("aria-current", "true")


def test_nothing_sticks_out_sideways(page: Page, dashboard: Served) -> None:
    ask(dashboard.ledger, "long", tenant="t" * 200, model="m" * 200, error="e" * 200, scorer="s" * 200, cost=1)
    dashboard.alarms.append(Alert("error_rate", (("tenant", "t" * 200),), NOW, "s" * 200, "r" * 200))
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    expect(page.locator("#alarms li")).to_have_count(1)
    for width in (320, 390, 768, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_every_chart_is_one_picture_with_one_label(page: Page, dashboard: Served) -> None:
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    pictures = page.locator("#overview svg[role=img]")
    labels = [pictures.nth(index).get_attribute("aria-label") for index in range(pictures.count())]
    assert len(labels) >= 9
    assert all(labels)
    assert page.locator("svg:not([role=img]):not([aria-hidden=true])").count() == 0


def test_our_own_fonts_are_used(page: Page, dashboard: Served) -> None:
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    page.wait_for_function("document.fonts.status === 'loaded'")
    assert page.evaluate("[...document.fonts].filter((each) => each.status === 'loaded').map((each) => each.family)")
    assert page.evaluate("document.fonts.check('14px Inter') && document.fonts.check('13px \"JetBrains Mono\"')")


def test_a_gateway_that_went_away_is_said(browser: Browser, dashboard: Served) -> None:
    with browser.new_context() as context:  # its console does complain: the server is gone
        page = context.new_page()
        page.goto(f"{dashboard.url}/dashboard?span=1h")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        dashboard.close()
        expect(page.get_by_text("no answer, trying again")).to_be_visible(timeout=6_000)


@pytest.mark.skipif(not Path(AXE).is_file(), reason="AXE_CORE names no axe.min.js of the npm package axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(page: Page, dashboard: Served, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    dashboard.alarms.append(Alert("error_rate", (("tier", "mini"),), NOW, "3 of 20 failed", "RUNBOOK.md#error-rate"))
    page.goto(f"{dashboard.url}/dashboard?span=1h")
    page.evaluate(Path(AXE).read_text())
    found = page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    assert [violation["id"] for violation in found["violations"]] == []
