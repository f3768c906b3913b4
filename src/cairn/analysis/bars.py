"""Bars side by side as SVG text: several lengths for each row, rows in chapters, one scale.

All text is escaped; geometry and colours are attributes, as in `heatmap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cairn.analysis.svg_text import FONT, cut, text

BAR_HEIGHT, ROW_GAP, CHAPTER_GAP = 7, 9, 34
LONGEST_BAR = 420
# From pale to strong, also in grey: three points of viridis (https://bids.github.io/colormap, CC0).
_COLOURS = ("#c8dfe0", "#35b779", "#31688e", "#440154")


@dataclass(frozen=True, slots=True)
class Row:
    """A label, one value for each kind of bar, and the words that stand behind the bars."""

    label: str
    values: tuple[float, ...]
    told: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Rows of bars; `kinds` names the bars of a row, longest scale over all chapters of a row."""

    title: str
    kinds: tuple[str, ...]
    chapters: Sequence[tuple[str, Sequence[Row]]]

    def svg(self) -> str:
        """The picture as a document of its own."""
        labels = [cut(row.label) for _, rows in self.chapters for row in rows]
        left = 24 + 6.6 * max([len(label) for label in labels] or [0])
        row_height = BAR_HEIGHT * len(self.kinds) + ROW_GAP
        height = 66.0 + 20
        for _, rows in self.chapters:
            height += CHAPTER_GAP + row_height * len(rows)
        width = left + LONGEST_BAR + 250
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img" font-family="{FONT}">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{width:.0f}" height="{height:.0f}" class="paper" fill="#ffffff"/>',
            text(16, 26, self.title, size=15, weight=600),
            *self._legend(16, 40),
        ]
        y = 66.0
        for name, rows in self.chapters:
            parts.append(text(16, y + 16, name, size=12, weight=600))
            y += CHAPTER_GAP - ROW_GAP
            parts += self._rows(rows, left, y, row_height)
            y += row_height * len(rows) + ROW_GAP
        return "\n".join([*parts, "</svg>", ""])

    def _legend(self, x: float, y: float) -> list[str]:
        parts = []
        for kind, colour in zip(self.kinds, _COLOURS, strict=False):
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="10" fill="{colour}"/>')
            parts.append(text(x + 18, y + 9, kind))
            x += 40 + 6.6 * len(kind)
        return parts

    def _rows(self, rows: Sequence[Row], left: float, y: float, row_height: float) -> list[str]:
        longest = max([value for row in rows for value in row.values] or [0.0]) or 1.0
        parts = []
        for row in rows:
            middle = y + BAR_HEIGHT * len(self.kinds) / 2 + 4
            parts.append(text(left - 8, middle, cut(row.label), anchor="end"))
            for at, (value, colour) in enumerate(zip(row.values, _COLOURS, strict=False)):
                length = max(1.0, LONGEST_BAR * value / longest)
                parts.append(
                    f'<rect x="{left:.1f}" y="{y + BAR_HEIGHT * at:.1f}" width="{length:.1f}"'
                    f' height="{BAR_HEIGHT - 1}" fill="{colour}"/>'
                )
            widest = max(1.0, LONGEST_BAR * max(row.values) / longest)
            parts.append(text(left + widest + 8, middle, row.told))
            y += row_height
        return parts
