"""What is unusual about a model's update: numbers of the whole, and of each tensor.

Each number is computed of one model alone, and alike for its siblings, so that any honest one of
a family is as likely to stand highest. What rows of siblings did was tried as what is usual of a
row, and told less: see `docs/security/weights.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from cairn.workflows.updates import ModelUpdate

if TYPE_CHECKING:
    from cairn.analysis.outlying import Levels, Outlier
    from cairn.analysis.update_profile import Update

LEAST_Z = 6.0
"""Robust z from which a row or column is told: see `docs/security/weights.md` for its rate."""

MOST_TOLD = 10
"""Outliers told of one axis of one tensor."""

_TABLE = re.compile(r"embed|embd|\bwte\b|\bwpe\b|lm_head|codebook")


class Signal(Enum):
    """A number that a backdoor may raise; the value is its name in JSON."""

    CONCENTRATION = "concentration"
    ROWS = "rows"
    COLUMNS = "columns"
    WORDS = "words"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class TensorAnomaly:
    """What one tensor's update is like. `lead` is None where it is no dense matrix.

    `relative` is the norm of the change over the norm before (None: that was zero), `times_usual`
    that over the median of the model's tensors of as many axes. `rows` and `columns` are the
    outliers; `still_rows` did not move at all.
    """

    name: str
    update: "Update"
    relative: float | None
    times_usual: float | None
    lead: float | None
    rows: "tuple[Outlier, ...]"
    columns: "tuple[Outlier, ...]"
    still_rows: int

    @property
    def is_table(self) -> bool:
        """Whether its rows are those of a vocabulary."""
        return is_table(self.name)


def is_table(name: str) -> bool:
    """Whether a tensor of this name has a row for each word."""
    return _TABLE.search(name.lower()) is not None


def signals(model: ModelUpdate) -> dict[Signal, float]:
    """The numbers of one model; those that its tensors do not have are left out."""
    from cairn.analysis.evidence import concentration
    from cairn.analysis.outlying import highest

    found: dict[Signal, float] = {}
    dense = [one for name, one in model.moved.items() if not is_table(name)]
    leads = concentration(dense)
    if leads is not None:
        found[Signal.CONCENTRATION] = leads
    for signal, table, axis in (
        (Signal.ROWS, False, "rows"),
        (Signal.COLUMNS, False, "columns"),
        (Signal.WORDS, True, "rows"),
    ):
        heights = [
            highest(_scores(name, one, axis))
            for name, one in model.moved.items()
            if is_table(name) is table and len(one.shape) > 1
        ]
        known = [z for z in heights if z is not None]
        if known:
            found[signal] = max(known)
    found[Signal.CHANGE] = model.relative
    return found


def tensor_anomalies(model: ModelUpdate) -> list[TensorAnomaly]:
    """Every tensor that moved; the one that moved most for its own size first."""
    usual = _usual_change(model.moved)
    found = [_anomaly(name, one, usual) for name, one in model.moved.items()]
    return sorted(found, key=lambda one: -(one.times_usual or 0.0))


def _anomaly(name: str, update: "Update", usual: Mapping[bool, float]) -> TensorAnomaly:
    import numpy as np

    from cairn.analysis.evidence import lead
    from cairn.analysis.outlying import outliers

    told = {}
    for axis in ("rows", "columns"):
        scores = _scores(name, update, axis)
        energy = getattr(update, axis)
        told[axis] = tuple(outliers(energy, scores, LEAST_Z, MOST_TOLD)) if len(scores) else ()
    relative, typical = update.relative, usual[len(update.shape) > 1]
    return TensorAnomaly(
        name=name,
        update=update,
        relative=relative,
        times_usual=None if relative is None or not typical else relative / typical,
        lead=None if is_table(name) else lead(update),
        rows=told["rows"],
        columns=told["columns"],
        still_rows=int(np.count_nonzero(update.rows == 0)),
    )


def _usual_change(moved: "Mapping[str, Update]") -> dict[bool, float]:
    """The median relative change of tensors with several axes (True), and of vectors (False)."""
    import numpy as np

    known: dict[bool, list[float]] = {True: [], False: []}
    for one in moved.values():
        if one.relative is not None:
            known[len(one.shape) > 1].append(one.relative)
    return {several: float(np.median(found)) if found else 0.0 for several, found in known.items()}


def _scores(name: str, update: "Update", axis: str) -> "Levels":
    """Robust z of every row or column of a tensor."""
    from cairn.analysis.outlying import levels, usual_by_rank, z_scores

    own = levels(getattr(update, axis))
    by_rank = is_table(name) and axis == "rows"
    return z_scores(own, usual_by_rank(own)) if by_rank else z_scores(own)
