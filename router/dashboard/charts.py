"""Values by bucket -> the geometry of a chart.

All places are per cent of the plot's width and height, from the upper left, so that a template can draw the same
chart at any width with text of one size. Colours and markup are the template's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from router.dashboard import wording
from router.dashboard.curves import runs, through

_LOG_TICKS = tuple(step * 10.0**power for power in range(-5, 4) for step in (1, 3))  # seconds
_NAME_HEIGHT = 9.0  # per cent of a plot of 160 pixels, text of 12


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis and where it stands, per cent."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Shape:
    """An area or a line.

    Attributes:
        kind: what it shows, which is also its colour: "large", "mini", "cache", "baseline", "saved".
        path: an SVG path in a box of 100 by 100.
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, per cent."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point, per cent."""

    kind: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Name:
    """A line's name, beside its end; `y` per cent."""

    kind: str
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Hint:
    """What a bucket says when it is pointed at, and where it lies, per cent."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that is drawn, in this order: areas, bars, lines, dots, names; `label` says it to those who cannot see it."""

    label: str
    y_ticks: tuple[Tick, ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    areas: tuple[Shape, ...] = ()
    bars: tuple[Bar, ...] = ()
    lines: tuple[Shape, ...] = ()
    dots: tuple[Dot, ...] = ()
    names: tuple[Name, ...] = ()
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Buckets that begin at `start` (seconds since 1970), each `width` seconds; a label each `tick` seconds."""

    start: float
    width: float
    buckets: int
    tick: float

    def ticks(self, *, centred: bool) -> tuple[Tick, ...]:
        """Return the labels: under the middle of a bar, or where a line has its point."""
        begins = [self.start + bucket * self.width for bucket in range(self.buckets)]
        return tuple(
            Tick(
                (bucket + 0.5) / self.buckets * 100 if centred else self.place(bucket),
                wording.tick(begin, every=self.tick),
            )
            for bucket, begin in enumerate(begins)
            if begin % self.tick == 0
        )

    def place(self, bucket: int) -> float:
        """Return where a line has its point for a bucket, per cent."""
        return bucket / (self.buckets - 1) * 100

    def hints(self, texts: Sequence[str]) -> tuple[Hint, ...]:
        """Return one hint for each bucket, its time before its text."""
        width = 100 / self.buckets
        return tuple(
            Hint(bucket * width, width, f"{wording.moment(self.start + bucket * self.width)} UTC: {text}")
            for bucket, text in enumerate(texts)
        )


def spend_chart(
    axis: TimeAxis, *, large: Sequence[int], mini: Sequence[int], baseline: Sequence[int], label: str
) -> Chart:
    """Return Large's and Mini's cost stacked, under the line of what Large alone would have cost; nano-USD."""
    both = [first + second for first, second in zip(large, mini, strict=True)]
    marks = _marks(max(*both, *baseline) / wording.NANO, least=1 / wording.NANO)
    top = marks[-1] * wording.NANO
    stacks = {"saved": baseline, "mini": both, "large": large}
    tops = {
        kind: through([(axis.place(bucket), 100 - value / top * 100) for bucket, value in enumerate(values)])
        for kind, values in stacks.items()
    }
    return Chart(
        label=label,
        y_ticks=_ticks(marks, [f"${mark:,.{_decimals(marks)}f}" for mark in marks]),
        x_ticks=axis.ticks(centred=False),
        areas=tuple(Shape(kind, f"{path}L100 100L0 100Z") for kind, path in tops.items()),
        lines=(Shape("baseline", tops["saved"]),),
        hints=axis.hints(
            [
                f"{wording.money(cost)} spent, all-Large {wording.money(whole)}"
                for cost, whole in zip(both, baseline, strict=True)
            ]
        ),
    )


def answer_chart(
    axis: TimeAxis, *, large: Sequence[int], mini: Sequence[int], cache: Sequence[int], label: str
) -> Chart:
    """Return the answers of each bucket as bars stacked by who gave them."""
    rows = list(zip(large, mini, cache, strict=True))
    marks = _marks(max(sum(row) for row in rows), least=1)
    top = marks[-1]
    step = 100 / axis.buckets
    bars = []
    for bucket, row in enumerate(rows):
        y = 100.0
        for kind, value in zip(("large", "mini", "cache"), row, strict=True):
            height = value / top * 100
            y -= height
            if value:
                bars.append(Bar(kind, bucket * step + step * 0.09, y, step * 0.82, height))
    return Chart(
        label=label,
        y_ticks=_ticks(marks, [wording.brief(mark) for mark in marks]),
        x_ticks=axis.ticks(centred=True),
        bars=tuple(bars),
        hints=axis.hints([f"{row[0]} by Large, {row[1]} by Mini, {row[2]} from cache" for row in rows]),
    )


def latency_chart(axis: TimeAxis, values: dict[str, Sequence[float | None]], *, label: str) -> Chart:
    """Return a line for each source on a logarithmic scale, seconds; broken where nothing was streamed."""
    known = [value for row in values.values() for value in row if value]
    if not known:
        return Chart(label=label, x_ticks=axis.ticks(centred=False))
    low = max((tick for tick in _LOG_TICKS if tick <= min(known)), default=_LOG_TICKS[0])
    high = min((tick for tick in _LOG_TICKS if tick > max(known)), default=_LOG_TICKS[-1])

    def height(value: float) -> float:
        held = min(max(value, low), high)
        return 100 - math.log(held / low) / math.log(high / low) * 100

    lines, dots, names = [], [], []
    for kind, row in values.items():
        places = [(axis.place(bucket), height(value)) for bucket, value in enumerate(row) if value is not None]
        stretches = runs([None if value is None else height(value) for value in row])
        lines += [
            Shape(kind, through([(axis.place(first + i), y) for i, y in enumerate(stretch)]))
            for first, stretch in stretches
        ]
        dots += [Dot(kind, axis.place(first), stretch[0]) for first, stretch in stretches if len(stretch) == 1]
        if places:
            dots.append(Dot(kind, *places[-1]))
            names.append(Name(kind, places[-1][1], kind.capitalize()))
    return Chart(
        label=label,
        y_ticks=tuple(Tick(height(tick), wording.brief_seconds(tick)) for tick in _LOG_TICKS if low <= tick <= high),
        x_ticks=axis.ticks(centred=False),
        lines=tuple(lines),
        dots=tuple(dots),
        names=_apart(names),
        hints=axis.hints(
            [
                ", ".join(f"{kind.capitalize()} {wording.seconds(row[bucket])}" for kind, row in values.items())
                for bucket in range(axis.buckets)
            ]
        ),
    )


def spark_chart(values: Sequence[float | None], *, label: str) -> Chart:
    """Return a line without axes from zero up; what is unknown counts as a gap."""
    top = max((value for value in values if value is not None), default=0) or 1
    step = 100 / (len(values) - 1)
    stretches = runs([None if value is None else 96 - value / top * 88 for value in values])
    points = [[((first + i) * step, y) for i, y in enumerate(stretch)] for first, stretch in stretches]
    return Chart(
        label=label,
        areas=tuple(Shape("spark", f"{through(run)}L{run[-1][0]:g} 100L{run[0][0]:g} 100Z") for run in points),
        lines=tuple(Shape("spark", through(run)) for run in points),
        dots=(Dot("spark", *points[-1][-1]),) if points else (),
    )


def _marks(highest: float, *, least: float) -> list[float]:
    """Return zero and one to five round steps, the last at or above `highest`; no step is under `least`."""
    target = max(highest / 4, least)
    power = 10.0 ** math.floor(math.log10(target))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= target * 0.999)
    return [step * index for index in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def _decimals(marks: Sequence[float]) -> int:
    """Return how many decimals it takes to tell the marks apart; money has none or at least two."""
    needed = -math.floor(math.log10(marks[1]) + 1e-9)
    return max(needed, 2) if needed > 0 else 0


def _ticks(marks: Sequence[float], texts: Sequence[str]) -> tuple[Tick, ...]:
    return tuple(Tick(100 - mark / marks[-1] * 100, text) for mark, text in zip(marks, texts, strict=True))


def _apart(names: Sequence[Name]) -> tuple[Name, ...]:
    """Move names down until none lies on another."""
    apart: list[Name] = []
    for name in sorted(names, key=lambda name: name.y):
        y = max(name.y, apart[-1].y + _NAME_HEIGHT) if apart else name.y
        apart.append(Name(name.kind, y, name.text))
    return tuple(apart)
