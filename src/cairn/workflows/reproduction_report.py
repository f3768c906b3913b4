"""What a reproduction found, as data, as words, and as a statement that can be signed.

The statement is in-toto's: its subjects are the files of the last checkpoint of the run, by the
digests in its record, and its predicate is the report.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import cairn
from cairn.errors import RequestError
from cairn.provenance.signing.statements import Statement, Subject
from cairn.workflows.kept_runs import KeptRun
from cairn.workflows.reproducing import Outcome, Reproduction
from cairn.workflows.run_conditions import Changed
from cairn.workflows.run_description import describe_recipe, number

PREDICATE_TYPE = "urn:cairn:reproduction:1"
SCHEMA = 1


def describe_reproduction(found: Reproduction, changed: Sequence[Changed]) -> dict[str, Any]:
    """The report; `changed` is what was otherwise than when the run was trained."""
    again = found.again.record
    return {
        "schema": SCHEMA,
        "outcome": found.outcome.value,
        "tolerance": found.tolerance,
        "until_step": found.until,
        "first_step_not_identical": found.first_step,
        "first_step_beyond_tolerance": found.first_apart,
        "curves": [
            {
                "metric": one.name,
                "compared_steps": one.parting.common,
                "missing_steps": one.missing,
                "first_step_not_identical": one.parting.first_step,
                "first_step_beyond_tolerance": one.first_apart,
                "largest_difference": None
                if one.parting.largest is None
                else number(one.parting.largest),
            }
            for one in found.curves
        ],
        "tensors_of_step": found.step,
        "tensors": [
            {"file": one.name, "identical": one.is_same, "largest_relative": one.largest}
            for one in found.tensors
        ],
        "changed": [asdict(one) for one in changed],
        "run": _run(found.original),
        "environment": dict(again.sessions[-1].environment) if again else {},
        "cairn": cairn.__version__,
    }


def _run(run: KeptRun) -> dict[str, Any]:
    record = run.record
    if record is None:
        raise RequestError(f"{run.name} has no record")
    return {
        "id": record.id,
        "name": record.name,
        "seed": record.seed,
        "recipe": describe_recipe(record.recipe),
        "data": [asdict(one) for one in record.data],
        "environment": dict(record.sessions[0].environment),
    }


def statement(found: Reproduction, report: dict[str, Any]) -> Statement:
    """What is signed.

    Raises:
        RequestError: the run kept no whole checkpoint that the report could be about.
    """
    step = next((one for one in found.original.steps if one.step == found.step), None)
    digests = (step.digests if step else None) or {}
    if not digests or step is None:
        raise RequestError("no step was kept by both runs, so there is nothing to sign about")
    subjects = []
    for name, digest in sorted(digests.items()):
        algorithm, _, digits = digest.partition(":")
        subjects.append(Subject(f"{step.folder}/{name}", {algorithm: digits}))
    return Statement(tuple(subjects), PREDICATE_TYPE, report)


def in_words(found: Reproduction, changed: Sequence[Changed]) -> list[str]:
    """The report in sentences, the outcome first."""
    told = [_outcome(found)]
    for one in found.curves:
        if one.missing:
            told.append(f"{one.name}: {one.missing:,} steps of the run were not trained again")
        parting = one.parting
        if parting.first_step is None:
            told.append(f"{one.name}: the same to the bit in {parting.common:,} steps")
        else:
            largest = "" if parting.largest is None else f", by up to {parting.largest:.3g}"
            told.append(f"{one.name}: other bits from step {parting.first_step} on{largest}")
    for tensor in found.tensors:
        if tensor.is_same:
            how = "the same to the bit"
        elif tensor.largest is None:
            how = "not comparable"
        else:
            how = f"up to {tensor.largest:.3g} of a tensor's norm apart"
        told.append(f"step {found.step}, {tensor.name}: {how}")
    if not found.tensors:
        told.append("no step was kept by both, so no tensors were compared")
    return [*told, *(f"otherwise than then: {one}" for one in changed)]


def _outcome(found: Reproduction) -> str:
    if found.outcome is not Outcome.DIFFERENT:
        until = "" if found.until is None else f" until step {found.until}"
        return f"{found.outcome.value}{until}"
    if found.first_apart is not None:
        return f"{found.outcome.value} from step {found.first_apart}"
    return f"{found.outcome.value}: {_why(found)}"


def _why(found: Reproduction) -> str:
    if any(one.missing for one in found.curves):
        return "it ended before the run did"
    if not found.curves and not found.tensors:
        return "there was nothing to compare"
    return "the losses are alike, the tensors are not"
