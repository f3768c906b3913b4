"""A difference as a heat map: layers down, places in a layer across."""

from cairn.analysis.heatmap import HeatMap
from cairn.domain import Role
from cairn.workflows.diff import Difference
from cairn.workflows.layer_names import place_of
from cairn.workflows.tensor_changes import TensorChange, Verdict

MAX_ROWS, MAX_COLUMNS = 400, 40
OUTSIDE = "whole module"
"""The column of modules that are not numbered layers."""


def heat_map(found: Difference) -> HeatMap:
    """Relative change of the weights by layer; a cell with several tensors shows the largest."""
    cells: dict[tuple[str, str], float | None] = {}
    rows: dict[tuple[bool, str, int], str] = {}
    columns: dict[str, None] = {}
    for change in found.tensors:
        if change.pair.after.tensor.role is not Role.WEIGHTS:
            continue
        place = place_of(change.pair.after.name)
        column = OUTSIDE if place.number is None else place.part
        key = (place.number is not None, place.stack or place.layer, place.number or 0)
        if (key not in rows and len(rows) >= MAX_ROWS) or (
            column not in columns and len(columns) >= MAX_COLUMNS
        ):
            continue
        rows[key] = place.layer
        columns.setdefault(column)
        cell = (place.layer, column)
        cells[cell] = _larger(cells[cell], _size(change)) if cell in cells else _size(change)
    ordered = [rows[key] for key in sorted(rows)]
    if OUTSIDE in columns:
        del columns[OUTSIDE]
        columns[OUTSIDE] = None
    return HeatMap("Relative change by layer", ordered, list(columns), cells)


def _size(change: TensorChange) -> float | None:
    if change.verdict is Verdict.EQUAL:
        return 0.0
    if change.comparison is None:
        return None
    relative = change.comparison.relative_change
    return 1.0 if relative is None else relative


def _larger(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return a if b is None else b
    return max(a, b)
