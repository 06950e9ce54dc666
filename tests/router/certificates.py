"""Certificates as tests need them: slices with a verdict, and models by their names."""

import time
from pathlib import Path

from router.base import Tier
from router.certificate import FORMAT, VERSION, Certificate, Guards, Identity, Slice, Verdict, dump

LARGE, MINI = Identity(Tier.LARGE, "big"), Identity(Tier.MINI, "small")
SERVING = {Tier.LARGE: LARGE, Tier.MINI: MINI}


def slice_of(name: str, guards: Guards, verdict: Verdict = Verdict.FAILED) -> Slice:
    """Return a slice on which nothing was measured."""
    return Slice(
        name=name,
        suite="any",
        cases=200,
        tokens=0,
        margin=0.05,
        measured=(),
        adjusted=1.0,
        verdict=verdict,
        why="lower",
        needed=None,
        guards=guards,
    )


def certificate_of(
    *slices: Slice, incumbent: Identity = LARGE, candidate: Identity = MINI, made: float | None = None
) -> Certificate:
    """Return a certificate of these slices."""
    return Certificate(
        format=FORMAT,
        version=VERSION,
        made=time.time() if made is None else made,
        program="0",
        config="c",
        seed=0,
        alpha=0.025,
        correction="Holm",
        incumbent=incumbent,
        candidate=candidate,
        data={"any": "built in"},
        slices=slices,
    )


def written(path: Path, certificate: Certificate) -> Path:
    """Write a certificate's file."""
    path.write_bytes(dump(certificate))
    return path
