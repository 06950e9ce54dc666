"""A stream cut at each of its bytes -> what the OpenAI SDK makes of it: it must raise each time.

The backend ends the connection after so many bytes of its events, each cut once. Needs the `openai` package.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.bench.companions import BenchError
from router.bench.faults.base import Finding, Report
from router.bench.faults.books import read_ledger
from router.bench.faults.house import KEYS, House, open_house
from router.bench.faults.playing import Call, cut_payload, usage_of
from router.bench.goals import at_most

if TYPE_CHECKING:
    import openai

_AT_ONCE: Final = 12
_END: Final = b"\n\n"  # behind [DONE]: without it the event is there, and the stream is complete
UNANSWERED: Final = (["broken"], ["failed"])
"""What may stand in the ledger of such a stream: one record, which does not say that it was answered."""

_SHOWN: Final = 20


def cut_points() -> range:
    """Return every number of bytes after which the stream is not complete yet."""
    payload = cut_payload(Call("cut-0000", "cut", stream=True, usage=usage_of("cut-0000")))
    return range(1, len(payload) - len(_END))


async def run_cuts(*, seed: int, say: Callable[[str], None], points: Sequence[int] | None = None) -> Report:
    """Cut the stream at these points, or at all.

    Raises:
        BenchError: the SDK is not installed, or a part did not come up.
    """
    if find_spec("openai") is None:
        raise BenchError("the openai package is not installed: it comes with the development set")
    chosen = cut_points() if points is None else points
    say(f"{len(chosen)} cuts")
    with tempfile.TemporaryDirectory(prefix="tandem-cuts-") as folder:
        async with open_house(Path(folder), has_redis=False) as house, sdk(house) as client:
            clean = await cut_at(client, chosen)
            house.end_gateway()
            records = read_ledger(house.ledger)
    outcomes = [[record.outcome for record in records.get(f"cut-{at:04}", ())] for at in chosen]
    findings = [Finding("truncated", f"cut-{at:04}", "the SDK took it for whole") for at in clean]
    goals = (
        at_most("truncated", len(clean), 0),
        at_most("lost", sum(each not in UNANSWERED for each in outcomes), 0),
    )
    books: dict[str, object] = {"client": {"asked": len(chosen)}, "ledger": {"records": len(outcomes)}}
    return Report(seed, goals, tuple(findings[:_SHOWN]), books)


@asynccontextmanager
async def sdk(house: House) -> AsyncGenerator["openai.AsyncOpenAI"]:
    """Yield the SDK's own client of the gateway; it repeats nothing."""
    import openai  # noqa: PLC0415 - of the development set alone

    url = f"http://127.0.0.1:{house.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEYS["acme"], max_retries=0, timeout=20) as client:
        yield client


async def cut_at(client: "openai.AsyncOpenAI", points: Sequence[int]) -> list[int]:
    """Return the points at which the SDK did not raise."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def raises(at: int) -> bool:
        async with turn:
            return await _raises(client, at)

    raised = await asyncio.gather(*map(raises, points))
    return [at for at, is_raised in zip(points, raised, strict=True) if not is_raised]


async def _raises(client: "openai.AsyncOpenAI", at: int) -> bool:
    import httpx2  # noqa: PLC0415 - what the SDK lets through
    import openai  # noqa: PLC0415 - of the development set alone

    play = f"cut@{at}"
    try:
        stream = await client.chat.completions.create(
            model="mini",
            messages=[{"role": "user", "content": f"[[large={play} mini={play}]]"}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-request-id": f"cut-{at:04}"},
        )
        async for _ in stream:
            pass
    except (openai.OpenAIError, httpx2.HTTPError):
        return True
    return False
