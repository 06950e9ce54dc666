"""Tests router/certifying/report.py."""

import io

import msgspec
from rich.console import Console

from router.certificate import Certificate, Guards, Lost, Measured, Verdict
from router.certifying.report import markdown, reasons, sentence, table
from tests.router.certificates import certificate_of, slice_of

PASSED = msgspec.structs.replace(
    slice_of("memory_2", Guards(messages=5), Verdict.PASSED),
    measured=(Measured("f1", 0.9, 0.95, 0.01, 0.001), Measured("accuracy", 0.8, 0.8, None, 0.002)),
    adjusted=0.004,
    tokens=120,
)
FAILED = msgspec.structs.replace(
    slice_of("tenant:acme", Guards(tenant="acme")),
    measured=(Measured("right", 1.0, 0.5, -0.6, 1.0),),
    why="right is lower by 0.500, and 0.05 is allowed",
    lost=(Lost("line 3", 1.0, 0.0, "a | b *c*\nd", "x", "x", "<y>"), Lost("line 4", 1.0, 0.0)),
)
CANNOT = msgspec.structs.replace(slice_of("long_16k", Guards(tokens=16_384), Verdict.CANNOT), cases=0)


def printed(certificate: Certificate) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table(certificate))
    return out.getvalue()


def test_the_table_has_a_row_for_each_figure() -> None:
    said = printed(certificate_of(PASSED, FAILED, CANNOT))
    lines = [line.split() for line in said.splitlines() if line.strip()]
    assert ["memory_2", "200", "120", "f1", "0.900", "0.950", "+0.050", "+0.010", "0.05", "0.004", "passed"] in [
        line[:11] for line in lines
    ]
    assert ["accuracy", "0.800", "0.800", "+0.000", "-", "0.05"] in lines
    assert "small was shown to be as good as big on 1 of 3 slices" in said
    assert "from 16,384 tokens" in said
    assert "p by Holm over 2 slices" in said


def test_what_was_not_shown_is_told_with_its_reason() -> None:
    certificate = certificate_of(PASSED, FAILED, CANNOT)
    assert reasons(certificate) == [
        "tenant:acme: failed, right is lower by 0.500, and 0.05 is allowed",
        "long_16k: cannot, lower",
    ]
    assert sentence(certificate_of(PASSED)).endswith("on 1 of 1 slices")


def test_markdown_says_the_same_and_texts_cannot_be_marks() -> None:
    said = markdown(certificate_of(PASSED, FAILED, made=0.0))
    assert (
        "| tenant:acme | 200 |  | right | 1.000 | 0.500 | -0.500 | -0.600 | 0.05 | 1 | failed | tenant acme |" in said
    )
    assert "Made 1970-01-01 00:00Z by Tandem 0, configuration c, seed 0." in said
    assert "* tenant:acme, line 3: 1 against 0\n  * asked: a \\| b \\*c\\* d\n" in said
    assert "  * candidate: \\<y\\>" in said
    assert said.count("asked:") == 1
    assert "Not shown" not in markdown(certificate_of(PASSED))
