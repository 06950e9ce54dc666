"""Questions and a policy -> how both local models answered through a gateway, and what it cost.

Replies are compared with the true answers; costs are those of the ledger. Nothing is kept, so that each answer is paid
for. Knows no statistics.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import numpy as np

from backends.engines.desk.asking import ANSWER_TOKENS
from backends.engines.desk.questions import Question
from router.app import CHAT, Tandem
from router.bench.companions import BenchError
from router.bench.matching import Answered
from router.config.models import Config
from router.ledger.reading import iter_requests

CALLERS: Final = 2  # requests at once


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """All questions under one policy, in their order.

    Attributes:
        rows: of the ledger, each with its attempts.
    """

    answered: Answered
    rows: tuple[Mapping[str, Any], ...]


async def run(
    questions: Sequence[Question], policy: Mapping[str, object], *, classifier: Mapping[str, object], stream: bool
) -> Run:
    """Ask everything, with a gateway and engines of its own.

    Raises:
        BenchError: a question was not answered, or has no cost.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        ledger = Path(folder, "ledger.db")
        options = {
            "policy": policy,
            "classifier": classifier,
            "cache": {"enabled": False},
            "ledger": {"use": "sqlite", "path": str(ledger)},
        }
        app = Tandem(Config.model_validate(options))
        async with app.running():
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://tandem", timeout=60) as client:
                waiting, replies = iter(enumerate(questions)), dict[int, str]()
                await asyncio.gather(*(_keep_asking(client, waiting, replies, stream=stream) for _ in range(CALLERS)))
        by_number = {int(row["caller_id"]): row for row in iter_requests(ledger)}
    rows = tuple(by_number[number] for number in range(len(questions)))
    unpriced = sum(row["cost"] is None for row in rows)
    if unpriced:
        raise BenchError(f"{unpriced} answers have no cost: {policy}")
    right = [float(question.is_answered_by(replies[number])) for number, question in enumerate(questions)]
    return Run(Answered(np.array(right), np.array([float(row["cost"]) for row in rows])), rows)


async def _keep_asking(
    client: httpx2.AsyncClient, waiting: Iterator[tuple[int, Question]], replies: dict[int, str], *, stream: bool
) -> None:
    for number, question in waiting:
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": question.text}],
            "stream": stream,
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
        }
        reply = await client.post(CHAT, json=body, headers={"x-request-id": str(number)})
        if reply.status_code != httpx2.codes.OK:
            raise BenchError(f"a question was answered {reply.status_code}: {reply.text[:300]}")
        replies[number] = "".join(map(_piece, reply.text.split("\n"))) if stream else _whole(reply.content)


def _piece(line: str) -> str:
    """Return the text that one line of a stream adds; "" for lines that add none."""
    if not line.startswith("data: {"):
        return ""
    choices = msgspec.json.decode(line[6:]).get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or ""


def _whole(body: bytes) -> str:
    return msgspec.json.decode(body)["choices"][0]["message"]["content"] or ""
