"""A report on weights as pictures: which layers changed, and which changes point one way."""

from collections.abc import Mapping, Sequence
from typing import Any

from cairn.analysis.bars import Bars, Row
from cairn.analysis.heatmap import HeatMap
from cairn.workflows.layer_map import layer_map

MOST_BARS = 16
_DIRECTIONS = ("first direction", "second", "third")


def changed_layers(report: Mapping[str, Any]) -> HeatMap:
    """The relative change of each layer, from a report as plain data (`describe_weights`)."""
    sizes: list[tuple[str, float | None]] = [
        # What began at zero has changed by more than can be said.
        (one["name"], 1.0 if one["relative_change"] is None else one["relative_change"])
        for one in report["tensors"]
    ]
    sizes += [(name, 0.0) for name in report["unchanged"]]
    sizes += [(name, None) for name in report["unknown"]]
    return layer_map("Relative change by layer", sizes)


def leading_directions(report: Mapping[str, Any]) -> Bars:
    """Of the matrices whose first direction leads most: the shares of the first directions."""
    leading = [one for one in report["tensors"] if one["lead"] is not None]
    leading.sort(key=lambda one: -one["lead"])
    rows = [
        Row(one["name"], _shares(one["leading_shares"]), f"{100 * one['leading_shares'][0]:.3g} %")
        for one in leading[:MOST_BARS]
    ]
    title = "Share of the first directions in the change"
    return Bars(title, _DIRECTIONS, [("matrices whose first direction leads most", rows)])


def _shares(shares: Sequence[float]) -> tuple[float, ...]:
    shown = [*shares, 0.0, 0.0, 0.0][: len(_DIRECTIONS)]
    return tuple(shown)
