"""GET /dashboard -> the overview; its live part alone; its files.

Each page forbids whatever is not served from here: no script or style in the markup, no outside address. The
ledger is read in a thread, and a reading is shown to all who look until ten times what it took has passed.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from router.dashboard import cards, trust, wording
from router.dashboard.base import BackendHealth, DashboardView
from router.dashboard.estimates import Estimated, Savings
from router.dashboard.figures import figures
from router.dashboard.rows import row
from router.dashboard.saved import saved_card
from router.insight.overview import SPANS, Overview, Span, overview, span_for
from router.ledger.hosting import Standing
from router.ledger.place import LedgerUnreadable, PostgresPlace
from router.ledger.reading import read_window
from router.ledger.views import Reading, Window

if TYPE_CHECKING:
    import jinja2

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_HERE = Path(__file__).parent
_LATEST = 8  # requests in the list
_FRESH = 1.0  # seconds for which a reading is shown again at least
_REST = 10.0  # and this many times what it took: at most a tenth of a core, however many look
_HEALTH_TIMEOUT = 1.0  # seconds
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")  # nothing that a shell would read


def dashboard_routes(view: DashboardView) -> list[Route]:
    """Return the endpoints of the dashboard; nothing is read or opened before the first of them is asked."""
    pages = _Pages(view)
    return [
        Route("/", _to_the_page, methods=["GET"]),
        Route("/dashboard/", _to_the_page, methods=["GET"]),
        Route("/dashboard", pages.page, methods=["GET"]),
        Route("/dashboard/live", pages.live, methods=["GET"]),
        Route("/dashboard/static/{path:path}", pages.file, methods=["GET"]),
    ]


async def _to_the_page(_request: Request) -> Response:
    return RedirectResponse("/dashboard", headers=HEADERS)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A reading, or why there is none, and until when it is shown (`time.monotonic`, seconds)."""

    window: Window
    reading: Reading | LedgerUnreadable
    until: float


class _Pages:
    """The endpoints and the readings that they share."""

    def __init__(self, view: DashboardView) -> None:
        self._view = view
        self._shown: dict[str, _Shown] = {}
        self._reading = {name: asyncio.Lock() for name in SPANS}
        self._savings = Savings(view.ledger)
        self._templates: jinja2.Environment | None = None
        self._static = StaticFiles(directory=_HERE / "static")
        self._vendor = StaticFiles(directory=_HERE / "vendor")

    async def page(self, request: Request) -> Response:
        """Answer the whole page; without a span the one that fits the ledger's age."""
        name = request.query_params.get("span")
        span = await self._fitting() if name is None else SPANS.get(name)
        return await self._answer("page.html", request, span)

    async def live(self, request: Request) -> Response:
        """Answer the part that changes, for a page to put in its own place."""
        return await self._answer("live.html", request, SPANS.get(request.query_params.get("span", "")))

    async def file(self, request: Request) -> Response:
        """Answer a style, a script, a picture or a font."""
        path = request.path_params["path"]
        files, name = (
            (self._vendor, path.removeprefix("vendor/")) if path.startswith("vendor/") else (self._static, path)
        )
        response = await files.get_response(name, request.scope)
        response.headers.update(HEADERS | {"cache-control": "no-cache"})
        return response

    async def _fitting(self) -> Span:
        shown = await self._show(SPANS["1h"])
        begun = shown.reading.begun if isinstance(shown.reading, Reading) else None
        return span_for(begun=begun, now=shown.window.now)

    async def _answer(self, template: str, request: Request, span: Span | None) -> Response:
        if span is None:
            return PlainTextResponse(f"no such span: choose one of {', '.join(SPANS)}\n", 400, headers=HEADERS)
        shown, backends = await asyncio.gather(self._show(span), self._backends())
        words = {
            "span": span,
            "spans": tuple(SPANS.values()),
            "version": self._view.version,
            "cache_kind": self._view.cache_kind,
            "engine": "PostgreSQL" if isinstance(self._view.ledger, PostgresPlace) else "SQLite",
            "health": cards.health(backends),
            "alarms": None if self._view.alarms is None else trust.alarm_lines(self._view.alarms()),
            "base_url": _base_url(request),
            "trouble": "",
            "empty": False,
        }
        if isinstance(shown.reading, LedgerUnreadable):
            words["trouble"] = str(shown.reading)
        else:
            estimated = await self._savings.of(span.name, shown.window)
            words |= self._sections(shown.reading, shown.window, estimated, span=span, backends=backends)
        page = self._environment().get_template(template).render(words)
        return HTMLResponse(page, headers=HEADERS | {"cache-control": "no-store"})

    def _sections(
        self,
        reading: Reading,
        window: Window,
        estimated: Estimated | None,
        *,
        span: Span,
        backends: Sequence[BackendHealth],
    ) -> dict[str, object]:
        seen = overview(reading, window)
        doubts, quality = seen.now.doubts, seen.quality
        return {
            "empty": seen.empty,
            "since": wording.moment(window.start),
            "saved": saved_card(seen.now.saving, estimated, span=span),
            "doubts": doubts,
            "quality": {"words": trust.quality_words(quality), "lines": trust.quality_measures(quality)},
            "money": trust.money_measures(doubts, self._standings(seen, window, backends)),
            "figures": figures(seen, span=span),
            "charts": cards.charts(seen, span=span, window=window),
            "shares": {source.value: wording.share(seen.now.share_of(source)) for source in seen.now.answers},
            "streamed": bool(seen.first_tokens),
            "rows": tuple(row(line) for line in reading.latest),
            "machine": cards.machine_cards(seen, backends, cache_kind=self._view.cache_kind),
            "policy": cards.policy_words(reading, policy=self._view.policy, threshold=self._view.threshold),
        }

    def _standings(self, seen: Overview, window: Window, backends: Sequence[BackendHealth]) -> Sequence[Standing]:
        """Return what GPUs of our own cost, for as much of the window as there was a ledger."""
        since = window.start if seen.begun is None else max(window.start, seen.begun)
        costs = trust.allocated(seen.costs, backends)
        return self._view.standings(costs, since=since, until=window.now)

    async def _show(self, span: Span) -> _Shown:
        async with self._reading[span.name]:
            shown = self._shown.get(span.name)
            if shown is None or shown.until <= time.monotonic():
                window, began = span.window(self._view.clock()), time.monotonic()
                try:
                    reading: Reading | LedgerUnreadable = await asyncio.to_thread(
                        read_window, self._view.ledger, window, latest=_LATEST
                    )
                except LedgerUnreadable as error:
                    reading = error
                took = time.monotonic() - began
                shown = _Shown(window=window, reading=reading, until=time.monotonic() + max(_FRESH, _REST * took))
                self._shown[span.name] = shown
            return shown

    async def _backends(self) -> Sequence[BackendHealth]:
        try:
            return await asyncio.wait_for(self._view.backends(), _HEALTH_TIMEOUT)
        except TimeoutError:
            return ()

    def _environment(self) -> "jinja2.Environment":
        if self._templates is None:
            import jinja2  # noqa: PLC0415 - a gateway that nobody looks at never loads it

            self._templates = jinja2.Environment(
                loader=jinja2.FileSystemLoader(_HERE / "templates"),
                autoescape=True,
                undefined=jinja2.StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
            )
        return self._templates


def _base_url(request: Request) -> str:
    """Return the address that the reader used, for a command to copy; a host that a shell could misread is dropped."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host if _HOST.fullmatch(host) else '127.0.0.1:8080'}"
