"""A certificate's file -> the requests that Mini may not be chosen for.

A certificate tells slice by slice whether Mini was shown to do what Large does; `./tandem certify` makes one. A slice
guards requests that can be told in a microsecond: long ones, those with tools, those that want JSON, those with many
messages, those of one tenant, or all. Whatever was not shown is refused: a slice that was too small to tell is no
better than one that failed. Knows no configuration and no backend.
"""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from classifier.regular_files import read_regular
from router.base import Request, Tier

FORMAT: Final = "tandem certificate"
VERSION: Final = 1

EXPIRED: Final = "expired"
"""Stands where a slice's name does: the certificate is too old, so it speaks for no request."""

A_DAY: Final = 86_400.0  # seconds

_NEWEST: Final = 253_402_300_800.0  # the year 10,000

_IN_PROMPT: Final = ("messages", "prompt", "tools", "functions")

_Share = Annotated[float, Meta(ge=0, le=1)]
_Count = Annotated[int, Meta(ge=0)]


class CertificateError(ValueError):
    """The file is no certificate that this gateway can heed; the message names file and reason."""


class Verdict(StrEnum):
    """What was shown of a slice."""

    PASSED = "passed"
    FAILED = "failed"  # the candidate did worse by the margin or more
    UNDECIDED = "undecided"  # it did not, but on so few cases that may be chance
    BLIND = "blind"  # the incumbent itself cannot do it, so nothing could be lost to be seen
    CANNOT = "cannot"  # one of them cannot serve such requests at all


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Which model a tier was.

    Attributes:
        digest: of its weights and what else decides its answers; "" where nothing but the name is known.
    """

    tier: Tier
    model: str
    digest: str = ""

    def __str__(self) -> str:
        """Return what people read."""
        return f"{self.model} ({self.digest[:12]})" if self.digest else self.model


class Guards(Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that a slice speaks for; a slice with none of these speaks for no request.

    Attributes:
        everything: each request.
        tokens: those that may have as many tokens, or more; 0 for none.
        messages: likewise.
        features: those that ask for one of these, in the words of `backends.capabilities.Capabilities`.
        tenant: those of one tenant; "" for none.
    """

    everything: bool = False
    tokens: _Count = 0
    messages: _Count = 0
    features: tuple[str, ...] = ()
    tenant: str = ""

    def __str__(self) -> str:
        """Return what people read; "" where it guards nothing."""
        said = [
            "every request" if self.everything else "",
            f"from {self.tokens:,} tokens" if self.tokens else "",
            f"from {self.messages} messages" if self.messages else "",
            " and ".join(name.replace("_", " ") for name in self.features),
            f"tenant {self.tenant}" if self.tenant else "",
        ]
        return ", ".join(filter(None, said))


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """One figure of both models on a slice.

    Attributes:
        name: of the figure.
        incumbent, candidate: theirs; F1 and shares 0.0 to 1.0, Matthews and Pearson from -1.0.
        bound: one-sided lower bound of candidate less incumbent; None where nothing can be said.
        p_value: of "the candidate is worse by the margin or more".
    """

    name: str
    incumbent: float
    candidate: float
    bound: float | None
    p_value: _Share


class Lost(Struct, frozen=True, forbid_unknown_fields=True):
    """A case in which the candidate did worse; texts are cut, and "" where none may be kept."""

    case: str
    incumbent: _Share
    candidate: _Share
    asked: str = ""
    wanted: str = ""
    incumbent_said: str = ""
    candidate_said: str = ""


class Slice(Struct, frozen=True, forbid_unknown_fields=True):
    """What was shown of one kind of request.

    Attributes:
        cases: that both models answered; fewer than planned where it was hopeless early.
        tokens: median of their prompts, as the candidate's backend counted them; 0 where it did not.
        measured: the first is the slice's own; each has to keep the margin.
        adjusted: the largest p-value, adjusted for the number of slices.
        why: the verdict in words.
        needed: about how many more cases would decide, if they went as these did; None where more would not help.
    """

    name: str
    suite: str
    cases: _Count
    tokens: _Count
    margin: Annotated[float, Meta(gt=0, lt=1)]
    measured: tuple[Measured, ...]
    adjusted: _Share
    verdict: Verdict
    why: str
    needed: int | None
    guards: Guards
    lost: tuple[Lost, ...] = ()


class Certificate(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        made: wall time, seconds since 1970.
        program: the version of Tandem that made it.
        config: version of the configuration that it was made with.
        alpha: probability of one slice or more that passed and should not have.
        data: what was asked, by suite: "built in", or digests of files.
    """

    format: str
    version: int
    made: Annotated[float, Meta(ge=0, lt=_NEWEST)]
    program: str
    config: str
    seed: int
    alpha: Annotated[float, Meta(gt=0, le=0.5)]
    correction: str
    incumbent: Identity
    candidate: Identity
    data: dict[str, str]
    slices: tuple[Slice, ...]

    @property
    def refused(self) -> tuple[Slice, ...]:
        """Return the slices of which the candidate was not shown to be as good."""
        return tuple(each for each in self.slices if each.verdict is not Verdict.PASSED)


def dump(certificate: Certificate) -> bytes:
    """Return the file."""
    return msgspec.json.format(msgspec.json.encode(certificate), indent=1) + b"\n"


def load(path: Path) -> Certificate:
    """Return what a file says.

    Raises:
        CertificateError: it cannot be read, or is no certificate of this version.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise CertificateError(f"{path}: cannot be read: {reason}; make one with ./tandem certify") from error
    try:
        head: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CertificateError(f"{path}: is no JSON: {error}; make one with ./tandem certify") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise CertificateError(f"{path}: is no certificate; make one with ./tandem certify")
    if head.get("version") != VERSION:
        raise CertificateError(
            f"{path}: is of version {head.get('version')!r:.40}, and {VERSION} is read here; make it again"
        )
    try:
        certificate = msgspec.convert(head, Certificate)
    except msgspec.ValidationError as error:
        fault = str(error)
        raise CertificateError(f"{path}: is damaged: {fault[:1].lower()}{fault[1:]}; make it again") from error
    untrue = _untrue(certificate)
    if untrue:
        raise CertificateError(f"{path}: is damaged: {untrue}; make it again")
    return certificate


def _untrue(certificate: Certificate) -> str:
    """Return what a file says against its own figures; "" where it is of one piece."""
    if not certificate.slices:
        return "it has no slice, so nothing was shown"
    for each in certificate.slices:
        worst = max((each.adjusted, *(figure.p_value for figure in each.measured)))
        if each.verdict is Verdict.PASSED and (not each.measured or worst > certificate.alpha):
            return f"{each.name} is said to have passed, and its figures do not show it"
    return ""


def check(certificate: Certificate, path: Path, serving: Mapping[Tier, Identity]) -> None:
    """Refuse a certificate of other models than those that serve.

    Raises:
        CertificateError: with both names.
    """
    if (certificate.incumbent.tier, certificate.candidate.tier) != (Tier.LARGE, Tier.MINI):
        raise CertificateError(
            f"{path}: certifies {certificate.candidate.tier} beside {certificate.incumbent.tier}, "
            "and the gate is for mini beside large; make it with --from large --to mini"
        )
    for was in (certificate.incumbent, certificate.candidate):
        now = serving[was.tier]
        if was != now:
            raise CertificateError(
                f"{path}: certifies {was} as {was.tier}, and {now} serves now; make it again with ./tandem certify"
            )


def days_over(certificate: Certificate, *, max_age: float, now: float) -> float:
    """Return by how many days it is too old; 0.0 where it is not. One from the future counts as made now.

    Args:
        max_age: days.
        now: wall time, seconds since 1970.
    """
    return max(0.0, (now - certificate.made) / A_DAY - max_age)


class Gate:
    """The slices that Mini was not shown to do as well.

    Args:
        certificate: checked.
        most_tokens: tells how many tokens a request may have at most; asked only of requests that are long in bytes.
        expired: the certificate is too old, and speaks for no request any more.

    Attributes:
        version: "certificate@" and when it was made: part of each cache key, since Mini's replies are kept, too.
    """

    def __init__(
        self, certificate: Certificate, *, most_tokens: Callable[[Request], int], expired: bool = False
    ) -> None:
        self.version = f"certificate@{certificate.made:.0f}{EXPIRED if expired else ''}"
        refused = certificate.refused
        every = [each.name for each in refused if each.guards.everything]
        self._everything = EXPIRED if expired else next(iter(every), "")
        self._most_tokens = most_tokens
        self._messages, self._long_talk = _first_from(refused, lambda guards: guards.messages)
        self._tokens, self._long_input = _first_from(refused, lambda guards: guards.tokens)
        self._by_feature = {name: each.name for each in reversed(refused) for name in each.guards.features}
        self._by_tenant = {each.guards.tenant: each.name for each in refused if each.guards.tenant}

    def refused(self, request: Request) -> str:
        """Return the slice for whose sake Mini may not be chosen for this request; "" where it may."""
        if self._everything:
            return self._everything
        if request.tenant in self._by_tenant:
            return self._by_tenant[request.tenant]
        features = request.needs.features
        if features and not features.isdisjoint(self._by_feature):
            return next(self._by_feature[name] for name in sorted(features) if name in self._by_feature)
        if self._messages and len(request.prompt.turns) >= self._messages:
            return self._long_talk
        # No token is shorter than a byte, so most requests are done with here.
        if self._tokens and _bytes(request) >= self._tokens and self._most_tokens(request) >= self._tokens:
            return self._long_input
        return ""


def _first_from(refused: tuple[Slice, ...], start: Callable[[Guards], int]) -> tuple[int, str]:
    """Return the lowest count from which a slice was refused, and its name; 0 and "" where none was."""
    return min(((start(each.guards), each.name) for each in refused if start(each.guards)), default=(0, ""))


def _bytes(request: Request) -> int:
    """Return the size of what a backend makes its prompt of, without a copy."""
    fields = request.fields
    return sum(memoryview(fields[name]).nbytes for name in _IN_PROMPT if name in fields)


def open_gate(
    path: Path, serving: Mapping[Tier, Identity], *, max_age: float, most_tokens: Callable[[Request], int]
) -> tuple[Gate, str]:
    """Return the gate of a file, and a warning where it is too old; "" where it is not.

    An old certificate does not keep a gateway from starting: what would be a mishap of the calendar costs money, since
    Large answers, and no availability.

    Args:
        max_age: days.

    Raises:
        CertificateError: it cannot be heeded.
    """
    certificate = load(path)
    check(certificate, path, serving)
    over = days_over(certificate, max_age=max_age, now=time.time())
    words = (
        "" if not over else f"{path}: is {over:.0f} days older than the {max_age:g} that it is good for; make it again"
    )
    return Gate(certificate, most_tokens=most_tokens, expired=over > 0), words
