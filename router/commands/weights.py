"""Tier -> the weights that come with Tandem."""

from importlib.util import find_spec
from pathlib import Path

from router.base import Tier


def bundled() -> dict[str, Path]:
    """Return the file of each tier that has one: the first by name with the tier's name in it."""
    spec = find_spec("backends")
    folders = [Path(place) / "engines" / "models" for place in (spec.submodule_search_locations or () if spec else ())]
    files = sorted(file for folder in folders for file in folder.rglob("*.gguf"))
    named = {tier: [file for file in files if tier in file.name] for tier in Tier}
    return {tier.value: found[0] for tier, found in named.items() if found}


def is_gguf(file: Path) -> bool:
    """Tell whether a file begins as one in GGUF does."""
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"
