"""Training runs as plain data: their stable JSON form."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cairn.domain import RunRecord, TrainingRecipe, TrainingSession
from cairn.errors import CairnError
from cairn.workflows.kept_runs import KeptRun, KeptStep
from cairn.workflows.run_conditions import Changed

SCHEMA = 1


def describe_listed(name: str, run: KeptRun | CairnError) -> dict[str, Any]:
    """A run in a list; of one that cannot be read, why."""
    if isinstance(run, CairnError):
        return {"name": name, "unreadable": str(run)}
    point = run.resume_point
    return {
        "name": name,
        "id": run.record.id if run.record else None,
        "status": run.status.value if run.status else None,
        "started": run.record.started if run.record else None,
        "last_step": run.last_step,
        "steps": [one.step for one in run.steps],
        "size_bytes": sum(one.size_bytes for one in run.steps),
        "resume_point": point.step if point else None,
        "values": {name: number(curve[-1][1]) for name, curve in run.curves.items()},
    }


def describe_run(run: KeptRun, changed: Iterable[Changed] | None) -> dict[str, Any]:
    """All of a run; `changed` is what is otherwise now, None where that is not known."""
    point = run.resume_point
    return {
        "schema": SCHEMA,
        "name": run.name,
        "status": run.status.value if run.status else None,
        "error": run.error,
        "last_step": run.last_step,
        "record": None if run.record is None else _record(run.record),
        "steps": [_step(one) for one in run.steps],
        "resume_point": point.step if point else None,
        "changed": None if changed is None else [asdict(one) for one in changed],
        "curves": {
            name: [[step, number(value)] for step, value in curve]
            for name, curve in run.curves.items()
        },
    }


def number(value: float) -> float | str:
    """A number, or the word for one that JSON does not have."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _record(run: RunRecord) -> dict[str, Any]:
    base = run.base
    return {
        "id": run.id,
        "name": run.name,
        "changed": run.changed,
        "seed": run.seed,
        "base": None
        if base is None
        else {
            "where": base.where,
            "revision": base.revision,
            "digests": {path: str(digest) for path, digest in base.digests.items()},
        },
        "data": [asdict(one) for one in run.data],
        "keep": None if run.keep is None else asdict(run.keep),
        "sessions": [_session(one) for one in run.sessions],
        "notes": dict(run.notes),
    }


def _session(one: TrainingSession) -> dict[str, Any]:
    return {
        "started": one.started,
        "from_step": one.from_step,
        "recipe": describe_recipe(one.recipe),
        "environment": dict(one.environment),
    }


def describe_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    """How a run is started, as data."""
    return {
        "kind": recipe.kind.value,
        "program": recipe.program,
        "digest": None if recipe.digest is None else str(recipe.digest),
        "arguments": list(recipe.arguments),
        "directory": recipe.directory,
        "folder": recipe.folder,
    }


def _step(one: KeptStep) -> dict[str, Any]:
    metrics = {name: number(value) for name, value in (one.metrics or {}).items()}
    return {
        "step": one.step,
        "folder": one.folder,
        "size_bytes": one.size_bytes,
        "saved_at": one.saved_at or None,
        "metrics": metrics,
        "trouble": one.trouble or None,
    }
