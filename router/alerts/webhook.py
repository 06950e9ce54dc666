"""Alerts -> posted to somebody, again where that fails, and never in anybody's way.

Whoever hands over an alert returns at once. What cannot be delivered waits, up to `MOST`; what came first is then
dropped, since what is true now matters more, and counted. Redirects are not followed: the secret is for one place.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import httpx2

from router.alerts.base import Alert
from router.alerts.payload import payload_of
from router.config.alerts import WebhookOptions

RESULTS: Final = ("delivered", "refused", "failed", "dropped")
"""Taken; answered with a fault that a repeat would not mend; tried in vain; more than could wait."""

MOST: Final = 256
TRIES: Final = 6
FIRST_PAUSE: Final = 1.0  # seconds, doubled after each try
LAST_WORDS: Final = 2.0  # seconds at the end, in which what waits is still tried

_MAY_PASS: Final = frozenset((408, 425, 429))
_SERVER_FAULT: Final = 500

_log = logging.getLogger(__name__)


class Webhook:
    """One address.

    Args:
        source: names this process to whoever is told.
        pause: seconds before the second try.

    Attributes:
        results: how many alerts ended in which of `RESULTS`.
    """

    def __init__(self, options: WebhookOptions, *, source: str, pause: float = FIRST_PAUSE) -> None:
        self.options, self._source, self._pause = options, source, pause
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        headers = {"content-type": "application/json"}
        if options.secret is not None:
            headers["authorization"] = f"Bearer {options.secret.get_secret_value()}"
        self._client = httpx2.AsyncClient(
            timeout=options.timeout, headers=headers, trust_env=False, follow_redirects=False
        )
        self._waiting: deque[tuple[Alert, ...]] = deque()
        self._has_more = asyncio.Event()
        self._is_closing = False
        self._task = asyncio.create_task(self._deliver(), name="alerts' webhook")

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts, in groups of one kind and state; returns at once, never raises."""
        groups: dict[tuple[str, bool], list[Alert]] = {}
        for alert in alerts:
            groups.setdefault((alert.kind, alert.ended is None), []).append(alert)
        for group in groups.values():
            if len(self._waiting) >= MOST:
                self.results["dropped"] += len(self._waiting.popleft())
            self._waiting.append(tuple(group))
            self._has_more.set()

    async def send(self, alerts: Sequence[Alert]) -> int:
        """Post alerts of one kind and state once; returns the HTTP status.

        What is answered beside it is not read: it could go on for ever.

        Raises:
            httpx2.HTTPError, httpx2.InvalidURL, TimeoutError: nobody answered, or not in time.
        """
        body = payload_of(alerts, source=self._source)
        async with (
            asyncio.timeout(self.options.timeout),
            self._client.stream("POST", self.options.url, content=body) as answer,
        ):
            return answer.status_code

    async def aclose(self) -> None:
        """Try what waits once more, within two seconds, and close."""
        self._is_closing = True
        self._has_more.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await asyncio.shield(self._task)
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._client.aclose()

    async def _deliver(self) -> None:
        while True:
            while self._waiting:
                group = self._waiting.popleft()
                self.results[await self._tried(group)] += len(group)
            if self._is_closing:
                return
            self._has_more.clear()
            await self._has_more.wait()

    async def _tried(self, group: Sequence[Alert]) -> str:
        """Return what came of a group, in a word of `RESULTS`."""
        pause, cause = self._pause, ""
        for _ in range(TRIES):
            try:
                status = await self.send(group)
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
                cause = type(error).__name__
            else:
                if httpx2.codes.is_success(status):
                    return "delivered"
                cause = f"status {status}"
                if status < _SERVER_FAULT and status not in _MAY_PASS:
                    _log.warning("the alerts' webhook refused %s: %s", group[0].kind, cause)
                    return "refused"
            if self._is_closing:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.75, 1.25)):
                    await self._ends()
            pause *= 2
        _log.warning("the alerts' webhook was not told of %s: %s", group[0].kind, cause)
        return "failed"

    async def _ends(self) -> None:
        """Wait until all is to end."""
        while not self._is_closing:
            await self._has_more.wait()
            if not self._is_closing:
                self._has_more.clear()
