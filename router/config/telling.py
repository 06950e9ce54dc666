"""What the gateway tells of itself: lines on standard error, spans."""

from typing import Annotated, Literal

from pydantic import Field

from router.config.options import Number, Options


class LogOptions(Options):
    """What is told on standard error, one line at a time.

    Attributes:
        format: "text" for people, "json" for programs.
        level: the least serious lines that are told.
        requests: each request gets a line; those that fail always do.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    requests: bool = False


class TracingOptions(Options):
    """Where spans go, by OpenTelemetry's protocol over HTTP; needs the extra "otel".

    Attributes:
        endpoint: of the collector, such as "http://127.0.0.1:4318/v1/traces"; None makes no spans.
        service: the name of this gateway among other services.
        share: of the traces that begin here; one that a caller has begun is followed as they have chosen.
    """

    endpoint: Annotated[str, Field(pattern=r"^https?://[!-~]+$")] | None = None
    service: str = Field(default="tandem", min_length=1, max_length=64)
    share: Annotated[float, Field(ge=0, le=1), Number] = 1.0
