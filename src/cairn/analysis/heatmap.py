"""A heat map as SVG text: one row per layer, one column per place in it, colour by size.

The scale is logarithmic. All text is escaped; geometry and colours are attributes, so that the
picture stands alone and inside a page with a strict Content-Security-Policy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

from cairn.analysis.svg_text import FONT, SOFT, cut, text

CELL_WIDTH, CELL_HEIGHT = 44, 22
DECADES = 6
"""Decades the colours span: below a millionth everything looks the same."""

# viridis at ten points (https://bids.github.io/colormap, CC0): even steps to the eye, also in grey.
_COLOURS = (
    *("#440154", "#482878", "#3e4989", "#31688e", "#26828e"),
    *("#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"),
)
_UNCHANGED, _UNKNOWN = "#f2f0ea", "#d9d6cf"
_LEGEND_WIDTH = 410  # ten boxes, and what the two greys mean


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Values by (row, column): None is unknown, 0 unchanged. Missing cells stay blank."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], float | None]

    def svg(self) -> str:
        """The picture as a document of its own."""
        left = 16 + 6.6 * max([len(cut(row)) for row in self.rows] or [0])
        top = 52 + 4.9 * max([len(cut(column)) for column in self.columns] or [0])
        width = left + CELL_WIDTH * len(self.columns) + 90
        width = max(width, left + _LEGEND_WIDTH)
        height = top + CELL_HEIGHT * len(self.rows) + 64
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img" font-family="{FONT}">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{width:.0f}" height="{height:.0f}" class="paper" fill="#ffffff"/>',
            text(16, 26, self.title, size=15, weight=600),
        ]
        parts += self._column_labels(left, top)
        parts += self._grid(left, top)
        parts += _legend(left, top + CELL_HEIGHT * len(self.rows) + 22)
        return "\n".join([*parts, "</svg>", ""])

    def _column_labels(self, left: float, top: float) -> list[str]:
        labels = []
        for at, column in enumerate(self.columns):
            x, y = left + CELL_WIDTH * (at + 0.5), top - 8
            turned = f' transform="rotate(-45 {x:.1f} {y:.1f})"'
            labels.append(text(x, y, cut(column), extra=turned))
        return labels

    def _grid(self, left: float, top: float) -> list[str]:
        found = []
        for at, row in enumerate(self.rows):
            y = top + CELL_HEIGHT * at
            found.append(text(left - 8, y + 15, cut(row), anchor="end"))
            for number, column in enumerate(self.columns):
                if (row, column) in self.cells:
                    value = self.cells[(row, column)]
                    x = left + CELL_WIDTH * number
                    told = f"{row} {column}: {_told(value)}"
                    found.append(
                        f'<rect x="{x:.1f}" y="{y:.1f}" width="{CELL_WIDTH - 2}"'
                        f' height="{CELL_HEIGHT - 2}" rx="2"{_quiet(value)} fill="{colour(value)}">'
                        f"<title>{escape(told)}</title></rect>"
                    )
        return found


def _quiet(value: float | None) -> str:
    """The class of a cell that a page gives a colour of its own: nothing changed there."""
    return ' class="unchanged"' if value is not None and value <= 0 else ""


def colour(value: float | None) -> str:
    """The colour of a relative change."""
    if value is None:
        return _UNKNOWN
    if value <= 0:
        return _UNCHANGED
    share = 1 + log10(max(value, 10**-DECADES)) / DECADES
    return _COLOURS[min(len(_COLOURS) - 1, int(share * len(_COLOURS)))]


def _told(value: float | None) -> str:
    if value is None:
        return "not compared"
    return f"{100 * value:.3g} %" if value else "unchanged"


def _legend(left: float, y: float) -> list[str]:
    """Boxes from little to much, and what grey means."""
    step = 24
    parts = [
        f'<rect x="{left + step * at:.1f}" y="{y:.1f}" width="{step}" height="10" fill="{shade}"/>'
        for at, shade in enumerate(_COLOURS)
    ]
    end = left + step * len(_COLOURS)
    parts.append(text(left, y + 26, "relative change: 0.0001 %"))
    parts.append(text(end, y + 26, "100 %", anchor="end"))
    greys = ((_UNCHANGED, "equal", _quiet(0.0)), (_UNKNOWN, "not compared", ""))
    for at, (shade, label, quiet) in enumerate(greys):
        x = end + 18 + 60 * at
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="10"{quiet} fill="{shade}"'
            f' stroke="{SOFT}" stroke-width="0.5"/>'
        )
        parts.append(text(x, y + 26, label))
    return parts
