"""Weights in several versions."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.router.learning.by_hand import write_weights

WeightsOf = Callable[..., Path]


@pytest.fixture
def weights_of(tmp_path: Path) -> WeightsOf:
    """Return what writes a weights' file of a version."""
    return partial(write_weights, tmp_path)
