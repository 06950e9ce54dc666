"""Tier -> the weights that come with Tandem."""

from pathlib import Path

from backends.engines.options import MODELS, SHIPPED
from router.base import Tier


def bundled() -> dict[str, Path]:
    """Return the file of each tier whose weights are there."""
    files = {tier.value: MODELS / f"{name}.gguf" for tier, name in zip(Tier, SHIPPED, strict=True)}
    return {tier: file for tier, file in files.items() if file.exists()}


def is_gguf(file: Path) -> bool:
    """Tell whether a file begins as one in GGUF does."""
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"
