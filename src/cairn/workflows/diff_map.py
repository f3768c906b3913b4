"""A difference as a heat map of its layers."""

from cairn.analysis.heatmap import HeatMap
from cairn.domain import Role
from cairn.workflows.diff import Difference
from cairn.workflows.layer_map import layer_map
from cairn.workflows.tensor_changes import TensorChange, Verdict


def heat_map(found: Difference) -> HeatMap:
    """Relative change of the weights by layer; a cell with several tensors shows the largest."""
    weights = [one for one in found.tensors if one.pair.after.tensor.role is Role.WEIGHTS]
    sizes = [(change.pair.after.name, _size(change)) for change in weights]
    return layer_map("Relative change by layer", sizes)


def _size(change: TensorChange) -> float | None:
    if change.verdict is Verdict.EQUAL:
        return 0.0
    if change.comparison is None:
        return None
    relative = change.comparison.relative_change
    return 1.0 if relative is None else relative
