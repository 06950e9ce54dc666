"""Certificate -> a table for a terminal, and the same as Markdown."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich import box
from rich.table import Table

from router.certificate import Certificate, Slice, Verdict

_COLOURS: Final = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "red",
    Verdict.UNDECIDED: "yellow",
    Verdict.BLIND: "magenta",
    Verdict.CANNOT: "red",
}
_LEFT: Final = ("slice", "measure", "verdict", "guards")


def sentence(certificate: Certificate) -> str:
    """Return what was found, in one sentence."""
    passed = len(certificate.slices) - len(certificate.refused)
    return (
        f"{certificate.candidate} was shown to be as good as {certificate.incumbent} on {passed} of "
        f"{len(certificate.slices)} slices"
    )


def table(certificate: Certificate) -> Table:
    """Return the slices as a table; a row for each figure."""
    shown = Table(box=box.SIMPLE_HEAD, title=sentence(certificate), title_justify="left", caption_justify="left")
    for column in _COLUMNS:
        shown.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=column != "guards")
    for each in certificate.slices:
        colour = _COLOURS[each.verdict]
        for cells in _rows(each):
            shown.add_row(*(f"[{colour}]{cell}[/]" if cell == each.verdict else cell for cell in cells))
    shown.caption = method(certificate)
    return shown


def reasons(certificate: Certificate) -> list[str]:
    """Return why each slice that did not pass did not, a line each."""
    return [f"{each.name}: {each.verdict}, {each.why}" for each in certificate.refused]


def method(certificate: Certificate) -> str:
    """Return how it was judged."""
    tested = sum(each.cases > 0 for each in certificate.slices)
    return (
        f"difference = candidate - incumbent on the same cases; bound: one-sided, {1 - certificate.alpha:.1%}; p by "
        f"{certificate.correction} over {tested} slices: one or more passes wrongly with probability "
        f"{certificate.alpha:g} at most"
    )


def markdown(certificate: Certificate) -> str:
    """Return the whole report."""
    made = datetime.fromtimestamp(certificate.made, UTC).strftime("%Y-%m-%d %H:%MZ")
    data = ", ".join(f"{suite} ({source})" for suite, source in certificate.data.items())
    lines = [
        "# Certificate of migration",
        "",
        f"{sentence(certificate)}.",
        "",
        f"Incumbent: {certificate.incumbent.tier}, {certificate.incumbent}.  ",
        f"Candidate: {certificate.candidate.tier}, {certificate.candidate}.  ",
        f"Made {made} by Tandem {certificate.program}, configuration {certificate.config}, seed {certificate.seed}.  ",
        f"Data: {data}.",
        "",
        _line(_COLUMNS),
        _line(["---" if column in _LEFT else "---:" for column in _COLUMNS]),
        *(_line(cells) for each in certificate.slices for cells in _rows(each)),
        "",
        f"{method(certificate)}.",
        "",
    ]
    if certificate.refused:
        lines += ["## Not shown", "", *(f"* {_plain(reason)}" for reason in reasons(certificate)), ""]
    lost = [line for each in certificate.slices for line in _lost(each)]
    return "\n".join([*lines, *(["## Cases that the candidate lost", "", *lost, ""] if lost else [])])


_COLUMNS: Final = (
    *("slice", "cases", "tokens", "measure", "incumbent", "candidate", "difference", "bound", "margin", "p"),
    *("verdict", "guards"),
)


def _rows(each: Slice) -> Iterator[list[str]]:
    """Yield a row for each figure; what is of the slice stands in the first alone."""
    guards = str(each.guards) or "-"
    if not each.measured:
        yield [each.name, "0", "", "", "", "", "", "", f"{each.margin:g}", "", each.verdict, guards]
    for number, one in enumerate(each.measured):
        own = [each.name, str(each.cases), str(each.tokens or "")] if number == 0 else ["", "", ""]
        end = [f"{each.adjusted:.2g}", each.verdict, guards] if number == 0 else ["", "", ""]
        yield [
            *own,
            one.name,
            f"{one.incumbent:.3f}",
            f"{one.candidate:.3f}",
            f"{one.candidate - one.incumbent:+.3f}",
            "-" if one.bound is None else f"{one.bound:+.3f}",
            f"{each.margin:g}",
            *end,
        ]


def _lost(each: Slice) -> Iterator[str]:
    for lost in each.lost:
        yield f"* {each.name}, {lost.case}: {lost.incumbent:g} against {lost.candidate:g}"
        said = {
            "asked": lost.asked,
            "wanted": lost.wanted,
            "incumbent": lost.incumbent_said,
            "candidate": lost.candidate_said,
        }
        yield from (f"  * {name}: {_plain(text)}" for name, text in said.items() if text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Return a text in one line that Markdown does not read as marks."""
    return " ".join("".join(f"\\{letter}" if letter in _MARKS else letter for letter in text).split())


_MARKS: Final = frozenset("\\`*_{}[]<>|#")
