"""A report on weights as plain data: its stable JSON form."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cairn.workflows.anomalies import Signal, TensorAnomaly
from cairn.workflows.weights import WeightsReport
from cairn.workflows.weights_summary import summary

if TYPE_CHECKING:
    from cairn.analysis.chance import Chance
    from cairn.analysis.outlying import Outlier

SCHEMA = 1


def describe_weights(found: WeightsReport) -> dict[str, Any]:
    """The report as JSON-able data; fractions go from 0 to 1, `lead` is a natural logarithm."""
    from cairn.analysis.honest_models import HELD_OUT

    evidence = found.evidence
    return {
        "schema": SCHEMA,
        "base": found.base,
        "model": found.update.name,
        "summary": summary(found),
        "numbers": _numbers(found.numbers),
        "evidence": {
            "score": evidence.score,
            "from": evidence.leading.value if evidence.leading else None,
            "among_benchmark": plain_chance(evidence.among_benchmark),
            "among_siblings": plain_chance(evidence.among_siblings),
            "held_out": {domain: asdict(rates) for domain, rates in HELD_OUT.items()},
        },
        "facts": [asdict(fact) for fact in found.facts],
        "looks_merged": found.looks_merged,
        "relative_change": found.update.relative,
        "tensors": [_tensor(one, found.row_names.get(one.name, {})) for one in found.tensors],
        "unchanged": list(found.update.still),
        "added": list(found.update.added),
        "removed": list(found.update.removed),
        "unknown": dict(found.update.unknown),
        "siblings": [
            {"name": name, "numbers": _numbers(numbers), "score": score}
            for name, numbers, score in found.siblings
        ],
    }


def _numbers(numbers: Mapping[Signal, float]) -> dict[str, float]:
    return {signal.value: number for signal, number in numbers.items()}


def plain_chance(chance: "Chance | None") -> dict[str, Any] | None:
    """A rank among honest models as plain data."""
    if chance is None:
        return None
    return {"honest": chance.honest, "as_high": chance.as_high, "p": chance.value}


def _tensor(one: TensorAnomaly, names: Mapping[int, str]) -> dict[str, Any]:
    update = one.update
    return {
        "name": one.name,
        "shape": list(update.shape),
        "changed": update.changed,
        "not_finite": update.left_out,
        "relative_change": one.relative,
        "times_usual": one.times_usual,
        "leading_shares": list(update.shares),
        "lead": one.lead,
        "is_table": one.is_table,
        "rows": [_outlier(row, names) for row in one.rows],
        "columns": [_outlier(column, {}) for column in one.columns],
        "still_rows": one.still_rows,
    }


def _outlier(one: "Outlier", names: Mapping[int, str]) -> dict[str, Any]:
    told = asdict(one)
    return told | {"token": names[one.index]} if one.index in names else told
