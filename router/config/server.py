"""Where the gateway listens, and for how long it waits."""

import os
from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from router.config.access import MIN_KEY
from router.config.options import Number, Options, Seconds


def _one_for_each_core(value: object) -> object:
    return 0 if value == "auto" else value


class ServerOptions(Options):
    """Where the gateway listens, and for how long it waits.

    Attributes:
        host: an address or name; anything but loopback needs keys.
        port: 0 lets the system choose one.
        max_body_bytes: a longer request is refused.
        content_urls: messages may name addresses of pictures and files, which backends fetch from where they stand;
            else only what is sent itself, as `data:`, is taken.
        request_timeout: seconds for a whole request, all attempts together.
        drain_timeout: seconds that running replies get to finish when the gateway stops.
        workers: processes that answer; "auto", or 0, takes one for each core.
        admin_port: where those who run the gateway can have it reload; None: nowhere.
        admin_host: its address; anything but loopback needs `admin_key`.
        admin_key: asked for there, as a bearer token; no tenant's key is ever taken.
        watch: seconds between two looks whether the file has changed; None reloads on request only.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Annotated[int, Field(ge=0, le=65_535), Number] = 8080
    max_body_bytes: Annotated[int, Field(ge=1_024, le=1 << 30), Number] = 4 << 20
    content_urls: bool = False
    request_timeout: Seconds = 600.0
    drain_timeout: Seconds = 10.0
    workers: Annotated[int, Field(ge=0, le=256), BeforeValidator(_one_for_each_core), Number] = 1
    admin_port: Annotated[int, Field(ge=0, le=65_535), Number] | None = None
    admin_host: str = Field(default="127.0.0.1", min_length=1)
    admin_key: SecretStr | None = Field(default=None, min_length=MIN_KEY)
    watch: Annotated[float, Field(ge=0.1, le=86_400), Number] | None = None

    @property
    def processes(self) -> int:
        """Return how many processes answer."""
        if self.workers:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return _is_loopback(self.host)

    @model_validator(mode="after")
    def _no_admin_outside_without_a_key(self) -> Self:
        if self.admin_key is None and not _is_loopback(self.admin_host):
            raise PydanticCustomError(
                "open_admin",
                "needs admin_key, since others than this machine can connect; add it, or use 127.0.0.1",
                {"at": ("server", "admin_host")},
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
