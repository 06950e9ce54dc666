"""Lines of PGR against calls to Large -> one SVG.

A panel for each set of rows, beside each other, under one legend. The file stands alone: no script, no font, no
library; dark lines on a white ground, told apart by dashes as well as by colour. Knows nothing of how PGR comes about.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from classifier.measures import Reals

_STYLES = {  # of a line, by its name: colour, width, dashes
    "router": ("#1a56c4", 2.5, ""),
    "oracle": ("#16803c", 1.5, "7 4"),
    "length": ("#b45309", 1.5, "2 3"),
    "random": ("#6b7280", 1.5, "10 3 2 3"),
}
_WIDTH, _HEIGHT = 420, 330  # of a panel
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 44, 24, 52  # around a plot
_LEGEND = 44  # height
_ACROSS = 3  # panels in a row
_PLACES = 201  # points of a line; its shape needs no more
_LOWEST, _HIGHEST = -1.0, 3.0  # PGR; what lies beyond, where the gap is small, is cut off
_MARKS = 8  # labels of the upward axis, about
_LABEL = "PGR against the share of requests that are sent to Large"
_LONGEST = 40  # characters of a title
_TEXT = 'font-family="system-ui, sans-serif" fill="#1f2937"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot.

    Attributes:
        title: which rows.
        note: a line below the title.
        lines: by name (a style is known for router, oracle, length and random), shares of calls to Large and PGR.
    """

    title: str
    note: str
    lines: Mapping[str, tuple[Reals, Reals]]


def draw(panels: Sequence[Panel]) -> str:
    """Return the SVG of one panel or more."""
    across = min(len(panels), _ACROSS)
    width, height = across * _WIDTH, _LEGEND + math.ceil(len(panels) / across) * _HEIGHT
    places = [(at % across * _WIDTH, _LEGEND + at // across * _HEIGHT) for at in range(len(panels))]
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{_LABEL}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_legend(),
        *(
            _panel(panel, *place, clip=f"plot{at}")
            for at, (panel, place) in enumerate(zip(panels, places, strict=True))
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> list[str]:
    parts = []
    for at, (name, style) in enumerate(_STYLES.items()):
        x = _LEFT + at * 88
        parts.append(f'<path d="M{x} 22h24" {_stroke(style)}/>')
        parts.append(f'<text x="{x + 30}" y="26" font-size="13" {_TEXT}>{name}</text>')
    return parts


def _panel(panel: Panel, x: int, y: int, *, clip: str) -> str:
    """Return a panel whose upper left corner is at (x, y)."""
    marks = _marks(panel)
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def height(pgr: float) -> float:
        return round(tall * (marks[-1] - pgr) / (marks[-1] - marks[0]), 2)

    parts = [
        f'<g transform="translate({x + _LEFT} {y + _TOP})">',
        f'<text x="0" y="-24" font-size="14" font-weight="600" {_TEXT}>{escape(panel.title[:_LONGEST])}</text>',
        f'<text x="0" y="-8" font-size="12" {_TEXT}>{escape(panel.note)}</text>',
        f'<clipPath id="{clip}"><rect width="{wide}" height="{tall}"/></clipPath>',
    ]
    for mark in marks:
        parts.append(f'<path d="M0 {height(mark)}h{wide}" stroke="#e5e7eb" fill="none"/>')
        parts.append(f'<text x="-8" y="{height(mark) + 4}" font-size="12" text-anchor="end" {_TEXT}>{mark:g}</text>')
    for percent in range(0, 101, 20):
        at = wide * percent / 100
        parts.append(f'<path d="M{at:g} {tall}v5" stroke="#6b7280" fill="none"/>')
        parts.append(f'<text x="{at:g}" y="{tall + 19}" font-size="12" text-anchor="middle" {_TEXT}>{percent} %</text>')
    centred = f'font-size="12" text-anchor="middle" {_TEXT}'
    turned = f'transform="translate(-44 {tall / 2:g}) rotate(-90)"'
    parts += [
        f'<rect width="{wide}" height="{tall}" fill="none" stroke="#6b7280"/>',
        f'<text x="{wide / 2:g}" y="{tall + 38}" {centred}>requests sent to Large</text>',
        f"<text {turned} {centred}>PGR: part of the gap recovered</text>",
    ]
    shares = np.linspace(0, 1, _PLACES)
    for name in reversed([name for name in _STYLES if name in panel.lines]):  # the router's on top
        points = zip((shares * wide).round(2).tolist(), np.interp(shares, *panel.lines[name]).tolist(), strict=True)
        path = "L".join(f"{at:g} {height(pgr):g}" for at, pgr in points)
        parts.append(f'<path clip-path="url(#{clip})" d="M{path}" {_stroke(_STYLES[name])}/>')
    return "\n".join([*parts, "</g>"])


def _marks(panel: Panel) -> list[float]:
    """Return the labels of the upward axis, which hold 0, 1 and all lines, but nothing beyond the limits."""
    heights = np.concatenate([[0.0, 1.0], *(pgr for _, pgr in panel.lines.values())]).clip(_LOWEST, _HIGHEST)
    low, high = float(heights.min()), float(heights.max())
    step = next(step for step in (0.2, 0.5, 1.0) if high - low <= _MARKS * step)
    return [round(step * at, 1) for at in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _stroke(style: tuple[str, float, str]) -> str:
    colour, width, dashes = style
    return f'fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dashes or "none"}"'
