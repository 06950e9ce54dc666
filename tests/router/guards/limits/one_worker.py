"""One worker among several, as a process: reads orders from stdin, one JSON object a line, and answers each with one.

{"do": "load", "requests": N, "cost": share}   N at once; each costs a part of what is reserved for it
{"do": "hang", "requests": N}                  N are admitted and never end
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from msgspec import Raw

from backends.base import Usage
from cache import connection
from classifier.base import Prompt
from router.base import Attempt, Decision, Intent, Outcome, Price, RateLimited, Record, Request, Tier
from router.config.models import Config
from router.endpoints.wire import new_id
from router.guards.limits.base import Admitted, Limits
from router.ledger.ids import maker_of
from router.ledger.writer import LedgerWriter
from router.quotas import Quotas

PRICE = Price("m", "v", 1_000_000, 1_000_000, 2_000_000)
DECISION = Decision(Tier.MINI, "score", None, None, "p@1")


def request() -> Request:
    now = time.monotonic()
    return Request(
        id=new_id(),
        caller_id="",
        tenant="default",
        path="/chat/completions",
        model="auto",
        wanted=None,
        prompt=Prompt((), max_tokens=100),
        stream=False,
        wants_usage=False,
        fields={"messages": Raw(b"x" * 300)},
        cacheable=False,
        received=now,
        deadline=now + 60,
    )


class Worker:
    """Admits, writes and settles."""

    def __init__(self, limits: Limits, ledger: LedgerWriter) -> None:
        self._limits, self._ledger, self._random = limits, ledger, random.Random(7)
        self._hung = list[Admitted]()

    async def do(self, order: dict[str, Any]) -> dict[str, int]:
        """Carry out one order."""
        hangs = order["do"] == "hang"
        share = 0.0 if hangs else order["cost"]
        said = await asyncio.gather(*(self._one(share, hangs=hangs) for _ in range(order["requests"])))
        return {
            "admitted": sum(cost is not None for cost in said),
            "spent": sum(cost or 0 for cost in said),
            "reserved": sum(each.reserved for each in self._hung),
        }

    async def _one(self, share: float, *, hangs: bool) -> int | None:
        asked = request()
        try:
            admitted = await self._limits.admit(asked, (Tier.LARGE, Tier.MINI))
        except RateLimited:
            return None
        await self._ledger.open(
            Intent(
                asked.id,
                "",
                asked.tenant,
                "auto",
                stream=False,
                started=time.time(),
                decision=DECISION,
                reserved=admitted.reserved,
            )
        )
        if hangs:
            self._hung.append(admitted)
            return 0
        await asyncio.sleep(self._random.random() / 50)
        cost = int(admitted.reserved * share * self._random.random())
        attempt = Attempt("primary", Tier.MINI, "m", "h:1", Usage(10, None, 10), cost, "v")
        record = Record(asked.id, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, None)
        self._ledger.settle(record)
        admitted.settle(record)
        return cost


async def main(ledger_path: Path, config: Config, *, workers: int) -> None:
    """Answer orders until there are no more."""
    connection.BUDGET = 0.3  # type: ignore[misc]  # a busy machine answers late
    loop = asyncio.get_running_loop()
    ledger = LedgerWriter(ledger_path, loop=loop, is_held=True)
    quotas = Quotas(ledger_path)
    await quotas.revise(config, worker=maker_of(new_id()), workers=workers)
    worker = Worker(quotas.limits(lambda _tier: PRICE, Tier, answer=100), ledger)
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201 - the parent reads it
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await worker.do(json.loads(line))), flush=True)  # noqa: T201
    await quotas.aclose()
    await ledger.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Config.model_validate_json(sys.argv[2]), workers=int(sys.argv[3])))
