"""Sizes of tensors as a heat map: layers down, places in a layer across."""

from collections.abc import Iterable

from cairn.analysis.heatmap import HeatMap
from cairn.workflows.layer_names import place_of

MAX_ROWS, MAX_COLUMNS = 400, 40
OUTSIDE = "whole module"
"""The column of modules that are not numbered layers."""


def layer_map(title: str, sizes: Iterable[tuple[str, float | None]]) -> HeatMap:
    """What is known of each tensor by its name; a cell with several shows the largest.

    None is unknown, 0 unchanged. Rows and columns beyond the limits are left out.
    """
    cells: dict[tuple[str, str], float | None] = {}
    rows: dict[tuple[bool, str, int], str] = {}
    columns: dict[str, None] = {}
    for name, size in sizes:
        place = place_of(name)
        column = OUTSIDE if place.number is None else place.part
        key = (place.number is not None, place.stack or place.layer, place.number or 0)
        if (key not in rows and len(rows) >= MAX_ROWS) or (
            column not in columns and len(columns) >= MAX_COLUMNS
        ):
            continue
        rows[key] = place.layer
        columns.setdefault(column)
        cell = (place.layer, column)
        cells[cell] = _larger(cells[cell], size) if cell in cells else size
    ordered = [rows[key] for key in sorted(rows)]
    if OUTSIDE in columns:
        del columns[OUTSIDE]
        columns[OUTSIDE] = None
    return HeatMap(title, ordered, list(columns), cells)


def _larger(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return a if b is None else b
    return max(a, b)
