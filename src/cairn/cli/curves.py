"""Curves in a terminal, drawn with the dots of Braille: two across and four down in a cell."""

from collections.abc import Sequence
from math import isfinite

Curve = Sequence[tuple[int, float]]

_BLANK = 0x2800
# The bit of a dot by row and column: https://www.unicode.org/charts/PDF/U2800.pdf
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_ACROSS, _DOWN = 2, 4


def plot(curve: Curve, frame: Curve, columns: int, rows: int) -> list[str]:
    """Lines of text: `curve` in the frame that just holds `frame`, its values at the left.

    Values that are no numbers leave a gap. Empty where the frame has none.
    """
    seen = [(step, value) for step, value in frame if isfinite(value)]
    if not seen:
        return []
    low, high = min(value for _, value in seen), max(value for _, value in seen)
    first, last = min(step for step, _ in frame), max(step for step, _ in frame)
    labels = [f"{high:.4g}", f"{low:.4g}"]
    margin = max(map(len, labels))
    wide, tall = columns * _ACROSS, rows * _DOWN
    cells = [[_BLANK] * columns for _ in range(rows)]
    for x, y in _dots(curve, (first, last), (low, high), wide, tall):
        cells[y // _DOWN][x // _ACROSS] |= _DOTS[y % _DOWN][x % _ACROSS]
    lines = []
    for row, line in enumerate(cells):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        lines.append(f"{label:>{margin}} ┤" + "".join(map(chr, line)).rstrip(chr(_BLANK)))
    ends = f"{first}{last:>{max(1, columns - len(str(first)))}}"
    return [*lines, " " * (margin + 2) + ends]


def _dots(
    curve: Curve, steps: tuple[int, int], values: tuple[float, float], wide: int, tall: int
) -> list[tuple[int, int]]:
    """Dots from the top left, joined from one point to the next."""
    found: list[tuple[int, int]] = []
    before: tuple[int, int] | None = None
    for step, value in curve:
        if not isfinite(value):
            before = None
            continue
        x = round(_share(step, *steps) * (wide - 1))
        y = round((1 - _share(value, *values)) * (tall - 1))
        found += _line(before or (x, y), (x, y))
        before = x, y
    return found


def _share(value: float, low: float, high: float) -> float:
    """Where a value is between two; halved, as the distance of two floats may be none."""
    return (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5


def _line(start: tuple[int, int], stop: tuple[int, int]) -> list[tuple[int, int]]:
    count = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1)
    return [
        (
            round(start[0] + (stop[0] - start[0]) * at / count),
            round(start[1] + (stop[1] - start[1]) * at / count),
        )
        for at in range(count + 1)
    ]
