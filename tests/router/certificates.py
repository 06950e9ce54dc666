"""Certificates as tests need them: slices with a verdict, and models by their names."""

import time
from pathlib import Path

from router.base import Tier
from router.certificate import FORMAT, VERSION, Certificate, Guards, Identity, Measured, Slice, Verdict, dump

LARGE, MINI = Identity(Tier.LARGE, "big"), Identity(Tier.MINI, "small")
SERVING = {Tier.LARGE: LARGE, Tier.MINI: MINI}


def slice_of(name: str, guards: Guards, verdict: Verdict = Verdict.FAILED) -> Slice:
    """Return a slice; only of one that has passed something was measured."""
    has_passed = verdict is Verdict.PASSED
    return Slice(
        name=name,
        suite="any",
        cases=200,
        tokens=0,
        margin=0.05,
        measured=(Measured("score", 0.9, 0.9, -0.01, 0.001),) if has_passed else (),
        adjusted=0.01 if has_passed else 1.0,
        verdict=verdict,
        why="lower",
        needed=None,
        guards=guards,
    )


def certificate_of(
    *slices: Slice, incumbent: Identity = LARGE, candidate: Identity = MINI, made: float | None = None
) -> Certificate:
    """Return a certificate of these slices; where there are none, of one that speaks for no request."""
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
        slices=slices or (slice_of("none", Guards()),),
    )


def written(path: Path, certificate: Certificate) -> Path:
    """Write a certificate's file."""
    path.write_bytes(dump(certificate))
    return path
