"""A difference described as plain data: the stable JSON form of what diff finds."""

import math
from dataclasses import asdict
from typing import Any

from cairn.domain import Scalar
from cairn.workflows.diff import Difference
from cairn.workflows.diff_summary import summary
from cairn.workflows.tensor_changes import TensorChange, Verdict
from cairn.workflows.tensor_pairs import Placed

SCHEMA = 1


def describe_difference(found: Difference, *, equal_tensors: bool = True) -> dict[str, Any]:
    """The difference as JSON-able data; `equal_tensors` False leaves out those that are equal.

    Fractions go from 0 to 1; `relative_change` is the norm of the difference over the norm before.
    """
    shown = found.tensors if equal_tensors else found.changed
    counts = {verdict.value: 0 for verdict in Verdict}
    for change in found.tensors:
        counts[change.verdict.value] += 1
    return {
        "schema": SCHEMA,
        "before": found.before.name,
        "after": found.after.name,
        "same": found.is_same,
        "values_compared": found.values_compared,
        "summary": summary(found),
        "counts": {**counts, "added": len(found.added), "removed": len(found.removed)},
        "wrapper": found.wrapper,
        "tensors": [_change(change) for change in shown],
        "added": [_placed(one) for one in found.added],
        "removed": [_placed(one) for one in found.removed],
        "settings": [asdict(change) for change in found.settings],
        "tokenizers": [asdict(change) for change in found.tokenizers],
        "files": [asdict(change) for change in found.files],
        "training": {
            key: {"before": _plain(a), "after": _plain(b)} for key, (a, b) in found.training.items()
        },
        "unread": dict(found.unread),
        "notes": list(found.notes),
    }


def _change(change: TensorChange) -> dict[str, Any]:
    before, after = change.pair.before, change.pair.after
    told: dict[str, Any] = {
        "name": after.name,
        "name_before": before.name,
        "role": after.tensor.role.value,
        "verdict": change.verdict.value,
        "dtype_before": before.tensor.dtype.label,
        "dtype_after": after.tensor.dtype.label,
        "shape_before": list(before.tensor.shape),
        "shape_after": list(after.tensor.shape),
        "why": change.why,
        "values": None,
    }
    found = change.comparison
    if found is not None:
        told["values"] = {
            "changed": found.changed,
            "changed_fraction": found.changed_fraction,
            "relative_change": found.relative_change,
            "largest_difference": found.largest_difference,
            "cosine": found.cosine,
            "not_finite": found.not_finite,
            "rank": None if found.rank is None else asdict(found.rank),
        }
    return told


def _placed(one: Placed) -> dict[str, Any]:
    return {
        "name": one.name,
        "file": one.path,
        "role": one.tensor.role.value,
        "dtype": one.tensor.dtype.label,
        "shape": list(one.tensor.shape),
    }


def _plain(value: Scalar) -> Scalar:
    """JSON has no NaN and no infinities: they become text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
