"""Package names -> the folder that each is found in.

Tandem's four packages are imported by their own plain names, so a package of the same name from elsewhere could
stand before one of them. Finds packages without importing them.
"""

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("router", "classifier", "backends", "cache")


def origins() -> dict[str, Path | None]:
    """Return the folder that holds each package; None where there is no such package."""
    return {name: _origin(name) for name in PACKAGES}


def strays() -> str:
    """Return what is wrong with where the packages come from, in words; "" when all come from one folder."""
    found = origins()
    home = found["router"]
    return ", ".join(
        f"{name} is missing" if folder is None else f"{name} comes from {folder}"
        for name, folder in found.items()
        if folder is None or folder != home
    )


def checkout() -> Path | None:
    """Return the checkout that the program runs from; None when it was installed from a wheel."""
    home = origins()["router"]
    return home if home is not None and (home / "pyproject.toml").is_file() and (home / "tandem").is_file() else None


def _origin(name: str) -> Path | None:
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent.parent
