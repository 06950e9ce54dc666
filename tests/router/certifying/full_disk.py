"""A disk that is full, for tests: as much as is wanted fits on it."""

import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def at_most(size: int) -> Generator[None, None, None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
