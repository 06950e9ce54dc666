"""A running upstream for each test that asks for one."""

from collections.abc import Iterator

import pytest

from router.bench.companions import free_cores, running_upstream


@pytest.fixture(scope="package")
def upstream() -> Iterator[str]:
    """Yield the base address of a canned upstream, a process of its own."""
    with running_upstream(free_cores().others) as address:
        yield address
