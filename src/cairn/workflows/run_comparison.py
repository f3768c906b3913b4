"""Runs beside each other: what they were made from, and from which step their curves part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from cairn.domain import RunRecord
from cairn.workflows.kept_runs import KeptRun

_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Unlike:
    """Something that is not the same in all runs, and what it is in each, in their order."""

    name: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Parting:
    """How one metric of a run goes beside that of the first one.

    `first_step` is where their values first differ, None where they never do; `common` counts the
    steps that both have. `largest` is the largest difference there; None without numbers.
    """

    common: int
    first_step: int | None
    largest: float | None


@dataclass(frozen=True, slots=True)
class RunComparison:
    """`partings` has, by metric, how every run but the first goes beside the first."""

    runs: Sequence[KeptRun]
    unlike: Sequence[Unlike]
    partings: Mapping[str, Sequence[Parting]]


def compare_runs(runs: Sequence[KeptRun]) -> RunComparison:
    """What differs between runs; metrics are those that the first one and another have."""
    said = [dict(_said(run)) for run in runs]
    names = dict.fromkeys(name for one in said for name in one)
    rows = (Unlike(name, [one.get(name, _ABSENT) for one in said]) for name in names)
    curves = [run.curves for run in runs]
    metrics = [name for name in curves[0] if any(name in other for other in curves[1:])]
    return RunComparison(
        runs,
        tuple(row for row in rows if len(set(row.values)) > 1),
        {
            name: [parting(curves[0][name], other.get(name, [])) for other in curves[1:]]
            for name in metrics
        },
    )


def parting(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> Parting:
    """How a curve goes beside another one: NaN and NaN are alike."""
    there = dict(other)
    pairs = [(step, value, there[step]) for step, value in one if step in there]
    apart = [(step, a, b) for step, a, b in pairs if a != b and not (isnan(a) and isnan(b))]
    sizes = [abs(a - b) for _, a, b in apart if not isnan(abs(a - b))]
    largest = max(sizes, default=None if apart or not pairs else 0.0)
    return Parting(len(pairs), apart[0][0] if apart else None, largest)


def _said(run: KeptRun) -> Iterator[tuple[str, str]]:
    """What a run says of what it is made of and where, each as text."""
    record = run.record
    if record is None:
        return
    yield from _recipe(record)
    yield "seed", _text(record.seed)
    yield "base", _base(record)
    for number, one in enumerate(record.data, 1):
        name = "data" if len(record.data) == 1 else f"data {number}"
        yield name, f"{one.where} {one.digest or ''}".strip()
    yield "resumed from", ", ".join(_text(s.from_step) for s in record.sessions[1:]) or _ABSENT
    for name, value in record.sessions[-1].environment.items():
        if name != "data_digest":
            yield name, _text(value)


def _recipe(record: RunRecord) -> Iterator[tuple[str, str]]:
    recipe = record.recipe
    yield "recipe", f"{recipe.kind.value} {recipe.program}".strip()
    yield "program", _text(recipe.digest)
    yield "arguments", " ".join(recipe.arguments)


def _base(record: RunRecord) -> str:
    base = record.base
    if base is None:
        return _ABSENT
    return base.where if base.revision is None else f"{base.where}@{base.revision}"


def _text(value: Any) -> str:
    return _ABSENT if value is None else str(value)
