"""Tests classifier/curves.py."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from classifier.curves import Panel, draw
from classifier.measures import Reals

DIAGONAL = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
BENT = (np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.8, 1.0]))


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(draw(panels))  # noqa: S314 - made here


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def lines(picture: ET.Element) -> list[list[tuple[float, float]]]:
    """Return the points of each curve, as drawn."""
    paths = [path.get("d", "") for path in picture.iter("{http://www.w3.org/2000/svg}path") if path.get("clip-path")]
    return [[tuple(map(float, point.split())) for point in path[1:].split("L")] for path in paths]  # type: ignore[misc]  # of two numbers each


def test_axes_and_legend_are_named() -> None:
    said = texts(drawn(Panel("all", "60 rows", {"router": BENT, "random": DIAGONAL})))
    assert said[:4] == ["router", "oracle", "length", "random"]
    assert {"all", "60 rows", "requests sent to Large", "PGR: part of the gap recovered"} <= set(said)
    assert [text for text in said if text.endswith("%")] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert [text for text in said if re.fullmatch(r"[\d.]+", text)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_a_line_runs_through_its_points_and_the_routers_lies_on_top() -> None:
    diagonal, bent = lines(drawn(Panel("all", "", {"router": BENT, "random": DIAGONAL})))
    (left, bottom), (right, top) = diagonal[0], diagonal[-1]
    assert (left, top) == (0, 0)
    assert right > 0
    assert bottom > 0
    share, height = bent[len(bent) // 5]
    assert share == pytest.approx(0.2 * right, abs=0.01)
    assert height == pytest.approx(0.2 * bottom, abs=0.01)
    assert (bent[0], bent[-1]) == ((left, bottom), (right, top))


@pytest.mark.parametrize(
    ("heights", "marks"),
    [
        ((-0.3, 1.45), ["-0.5", "0", "0.5", "1", "1.5"]),
        ((-900.0, 700.0), ["-1", "-0.5", "0", "0.5", "1", "1.5", "2", "2.5", "3"]),
    ],
)
def test_the_axis_holds_the_lines_within_limits(heights: tuple[float, float], marks: list[str]) -> None:
    line: tuple[Reals, Reals] = (np.array([0.0, 0.3, 0.6, 1.0]), np.array([0.0, *heights, 1.0]))
    said = texts(drawn(Panel("all", "", {"router": line})))
    assert [text for text in said if re.fullmatch(r"-?[\d.]+", text)] == marks


def test_panels_stand_in_rows_of_three_with_room_for_each() -> None:
    four = drawn(*[Panel(str(at), "", {"router": DIAGONAL}) for at in range(4)])
    one = drawn(Panel("0", "", {"router": DIAGONAL}))
    assert float(four.get("width", 0)) == 3 * float(one.get("width", 0))
    assert len({group.get("transform") for group in four.iter("{http://www.w3.org/2000/svg}g")}) == 4
    clips = [clip.get("id") for clip in four.iter("{http://www.w3.org/2000/svg}clipPath")]
    assert len(set(clips)) == 4


def test_a_panel_without_lines_is_drawn_too() -> None:
    assert lines(drawn(Panel("all", "no gap to recover", {}))) == []


def test_names_from_the_data_stay_text() -> None:
    said = texts(drawn(Panel('<script>"&', "a < b", {"router": DIAGONAL}), Panel("x" * 500, "", {})))
    assert '<script>"&' in said
    assert "a < b" in said
    assert max(map(len, said)) <= 60


def test_the_file_stands_alone_on_a_light_ground() -> None:
    text = draw([Panel("all", "", {"router": DIAGONAL})])
    assert 'fill="#ffffff"' in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text
