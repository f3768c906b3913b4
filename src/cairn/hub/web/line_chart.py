"""A curve as SVG text: a line over steps, with a mark at each step that was kept.

No inline styles: see `cairn.hub.web.svg`, whose elements these are.
"""

from collections.abc import Iterator, Sequence
from math import isfinite

from markupsafe import Markup

from cairn.hub.web.svg import figure, tag, text_tag

WIDTH, HEIGHT = 1000, 200
_MAX_POINTS = 600
_EDGE = 6
_DASH = 20  # to each side of a point that stands alone

Curve = Sequence[tuple[int, float]]


def line_chart(curve: Curve, marks: Sequence[int], title: str) -> Markup:
    """The curve in the frame that just holds it; values that are no numbers leave a gap."""
    numbers = [(step, value) for step, value in curve if isfinite(value)]
    if not numbers:
        words = f"{title} has no numbers."
        return figure([], title, words, view=f"0 0 {WIDTH} {HEIGHT}", css_class="curve")
    first, last = curve[0][0], curve[-1][0]
    low, high = min(v for _, v in numbers), max(v for _, v in numbers)
    words = (
        f"{title} from step {first:,} to {last:,}: from {numbers[0][1]:.4g} to"
        f" {numbers[-1][1]:.4g}, lowest {low:.4g}, highest {high:.4g}."
    )

    def x(step: int) -> float:
        return round(WIDTH * (step - first) / (last - first), 1) if last > first else WIDTH / 2

    def y(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(HEIGHT - _EDGE - share * (HEIGHT - 2 * _EDGE), 1)

    drawn = [tag("rect", x=0, y=0, width=WIDTH, height=HEIGHT, **{"class": "ground"})]
    drawn += [
        tag(
            "line",
            text_tag("title", f"step {step:,} was kept"),
            x1=x(step),
            y1=0,
            x2=x(step),
            y2=HEIGHT,
            **{"class": "kept"},
        )
        for step in marks
        if first <= step <= last
    ]
    for part in _parts(_thinned(curve)):
        points = " ".join(f"{x(step)},{y(value)}" for step, value in part)
        if len(part) == 1:  # as wide as can be seen
            step, value = part[0]
            points = f"{x(step) - _DASH},{y(value)} {x(step) + _DASH},{y(value)}"
        drawn.append(tag("polyline", points=points, **{"class": "line"}))
    return figure(drawn, title, words, view=f"0 0 {WIDTH} {HEIGHT}", css_class="curve")


def _parts(curve: Curve) -> Iterator[Curve]:
    """Runs of numbers between those that are none."""
    part: list[tuple[int, float]] = []
    for step, value in curve:
        if isfinite(value):
            part.append((step, value))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _thinned(curve: Curve) -> Curve:
    """At most so many points: of each slice the lowest and the highest, or what is no number."""
    if len(curve) <= _MAX_POINTS:
        return curve
    size = -(-len(curve) * 2 // _MAX_POINTS)
    found: list[tuple[int, float]] = []
    for at in range(0, len(curve), size):
        piece = curve[at : at + size]
        odd = next((point for point in piece if not isfinite(point[1])), None)
        ends = (min(piece, key=lambda p: p[1]), max(piece, key=lambda p: p[1]))
        found += [odd] if odd else sorted(set(ends))
    return found
