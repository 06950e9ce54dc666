"""`GET /v1/explain/{id}`: what became of one request and why -> its record, for the tenant whose it is.

A request of another tenant is answered like one that never was. Where our backends are is not said.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.base import Unavailable
from router.endpoints.feedback import UnknownRequest
from router.guards.keys import Keys
from router.ledger.lookup import find_request
from router.ledger.money import usd
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.rows import AFTERWARDS

AGAIN_AFTER: Final = 0.05  # seconds, in which a record that was just handed over is written
LONGEST_ID: Final = 128  # characters; no id is longer

_DECISION: Final = "tier reason score scorer threshold policy experiment arm propensity verify p_wrong".split()
_ATTEMPT: Final = (
    "kind tier model fresh_input cached_input cache_write cache_write_1h audio_input image_input output reasoning"
    " audio_output image_output service_tier usage_source price_version error".split()
)


@dataclass(frozen=True, slots=True)
class Explain:
    """The endpoint."""

    ledger: LedgerPlace | Path
    keys: Keys

    async def one(self, request: Request) -> Response:
        """Return decision, attempts, times and cost; `outcome` is null while the request is being answered.

        Raises:
            GatewayError: no valid key, no such request, or a ledger that cannot be read.
        """
        tenant, identifier = self.keys.tenant_of(request.scope["headers"]), request.path_params["id"]
        found = await self._find(identifier, tenant)
        if found is not None and found["outcome"] is None:
            await asyncio.sleep(AGAIN_AFTER)
            found = await self._find(identifier, tenant)
        if found is None:
            raise UnknownRequest(
                "there is no such request: name the x-request-id of its answer", code="request_not_found", param="id"
            )
        return JSONResponse(_explained(found))

    async def _find(self, identifier: str, tenant: str) -> dict[str, Any] | None:
        if len(identifier) > LONGEST_ID:
            return None
        try:
            return await asyncio.to_thread(find_request, self.ledger, identifier, tenant)
        except LedgerUnreadable as error:
            raise Unavailable(str(error), code="ledger_unavailable", retry_after=1) from error


def _explained(row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "object": "explanation",
        "id": row["id"],
        "caller_id": row["caller_id"] or None,
        "model": row["model"],
        "stream": row["stream"],
        "started": row["started"],
        "outcome": row["outcome"],
        "status": row["status"],
        "error": row["error"] or None,
        "cache": row["cache"] or None,
        "finish": row["finish"] or None,
        "decision": {name: row[name] for name in _DECISION},
        "attempts": [
            {**{name: each[name] for name in _ATTEMPT}, "cost_usd": _usd(each["cost"])}
            for each in row["attempts"]
            if each["position"] < AFTERWARDS  # later ones are no part of the request, nor of its cost
        ],
        "seconds": {"overhead": row["overhead"], "first_byte": row["first_byte"], "duration": row["duration"]},
        "cost_usd": _usd(row["cost"]),
        "baseline_usd": _usd(row["baseline"]),
    }


def _usd(nano: int | None) -> str | None:
    return None if nano is None else usd(nano)
