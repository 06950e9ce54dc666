"""Files of a run -> the backend's book and the ledger, both read from outside."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from router.bench.faults.base import Books, Charge, Got, Kept, Served

_ATTEMPTS: Final = """
SELECT request_id, tier, kind, fresh_input, cached_input, output, cost, error, usage_source FROM attempts
ORDER BY request_id, position
"""
_REQUESTS: Final = "SELECT id, caller_id, tenant, outcome, status FROM requests"


def read_books(got: Iterable[Got], *, backend: Path, ledger: Path) -> Books:
    """Return all three; the gateway has ended, so that nothing is under way."""
    return Books(client=tuple(got), backend=read_backend(backend), ledger=read_ledger(ledger))


def read_backend(path: Path) -> Mapping[str, tuple[Served, ...]]:
    """Return calls by the id of their request, in the order in which they began."""
    calls: dict[tuple[int, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        said = json.loads(line)
        calls.setdefault((said.pop("process"), said.pop("call")), {}).update(said)
    found = defaultdict[str, list[Served]](list)
    for said in calls.values():
        usage = said.get("usage")
        found[said["id"]].append(
            Served(
                id=said["id"],
                tier=said["tier"],
                play=said["play"],
                how=said.get("how", ""),
                usage=None if usage is None else (usage[0], usage[1], usage[2]),
                began=said["began"],
                ended=said.get("ended"),
            )
        )
    return {name: tuple(each) for name, each in found.items()}


def read_ledger(path: Path) -> Mapping[str, tuple[Kept, ...]]:
    """Return records by the id that their caller sent, through SQLite itself and not through the gateway's reader."""
    found = defaultdict[str, list[Kept]](list)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        charges = defaultdict[str, list[Charge]](list)
        for request, *values in connection.execute(_ATTEMPTS):
            charges[request].append(Charge(*values))
        for name, caller_id, tenant, outcome, status in connection.execute(_REQUESTS):
            found[caller_id].append(Kept(name, caller_id, tenant, outcome, status, tuple(charges[name])))
    return {name: tuple(each) for name, each in found.items()}


def summary(books: Books) -> dict[str, object]:
    """Return what each book adds up to."""
    kept = [record for records in books.ledger.values() for record in records]
    charges = [charge for record in kept for charge in record.charges]
    served = [call for calls in books.backend.values() for call in calls]
    return {
        "client": {
            "asked": len(books.client),
            "by_end": _count(got.end.value for got in books.client),
            "by_status": _count(str(got.status) for got in books.client),
            "hits": sum(got.headers.get("x-tandem-cache") == "hit" for got in books.client),
        },
        "backend": {
            "calls": len(served),
            "by_end": _count(call.how or "killed" for call in served),
            "by_play": _count(call.play.partition("@")[0] for call in served),
        },
        "ledger": {
            "records": len(kept),
            "by_outcome": _count(record.outcome or "open" for record in kept),
            "attempts": len(charges),
            "failed_attempts": _count(charge.error for charge in charges if charge.error),
            "cost_nano_usd": sum(charge.cost or 0 for charge in charges),
        },
    }


def entries(name: str, books: Books) -> tuple[str, ...]:
    """Return what each book says of one request, a line for each entry."""
    lines = [_line_of(got) for got in books.client if got.asked.id == name]
    lines += [f"backend: {call.tier} {call.play} {call.how or 'killed'}" for call in books.backend.get(name, ())]
    for record in books.ledger.get(name, ()):
        lines.append(f"ledger: {record.id} {record.tenant} {record.outcome} {record.status}")
        lines += [f"ledger:   {charge}" for charge in record.charges]
    return tuple(lines)


def _line_of(got: Got) -> str:
    asked = got.asked
    what = f"{'a stream' if asked.stream else 'an answer'} of {asked.model} for {asked.tenant}, plays {asked.marker}"
    return (
        f"client: asks for {what}; gets {got.status} {got.end} after {got.ended - got.began:.3f} s, "
        f"{len(got.body)} bytes that end {got.body[-160:]!r}"
    )


def _count(words: Iterable[str]) -> dict[str, int]:
    counts = defaultdict[str, int](int)
    for word in words:
        counts[word] += 1
    return dict(sorted(counts.items()))
