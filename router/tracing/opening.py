"""Tracing options -> what makes spans, or nothing at all."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from router.config.telling import TracingOptions
from router.tracing.base import Spans, TracingAway

LAST_WITHIN: Final = 0.5  # seconds that the last spans get at the end


@asynccontextmanager
async def open_tracing(options: TracingOptions) -> AsyncGenerator[Spans | None, None]:
    """Yield what makes spans, None where no collector is configured; sends the last ones when the block ends.

    Raises:
        TracingAway: the extra is not installed.
    """
    if options.endpoint is None:
        yield None
        return
    try:
        from router.tracing.otel_spans import OtelSpans  # noqa: PLC0415  (its packages may not be installed)
    except ImportError as error:
        raise TracingAway(
            "tracing.endpoint is set, and OpenTelemetry is not installed: install the extra otel, or leave it out"
        ) from error
    spans = OtelSpans(options.endpoint, service=options.service, share=options.share)
    try:
        yield spans
    finally:
        ending = threading.Thread(target=spans.close, name="last spans", daemon=True)
        ending.start()  # a collector that does not answer keeps nobody waiting
        await asyncio.to_thread(ending.join, LAST_WITHIN)
