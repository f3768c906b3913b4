"""A training run that a repo holds: its curves, its checkpoints, and where one would go on.

All of it is what the run says of itself; nothing is run, and no tensor is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Retention, RunRecord, TrainingSession
from cairn.errors import CairnError, EntryNotFoundError
from cairn.hub.routing import repo_routes
from cairn.hub.web import line_chart
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.bounded_runs import bounded_run
from cairn.workflows.browse import View
from cairn.workflows.kept_runs import KeptRun, KeptStep
from cairn.workflows.repo_runs import revision_files

MAX_CURVES = 12
_ENVIRONMENT = ("torch", "python", "cpu", "devices", "threads", "processes", "code")
_WORDS = {
    "running": ("Running when it was pushed", ""),
    "ended": ("Ended", "current"),
    "interrupted": ("Interrupted", "warn"),
    "failed": ("Failed", "bad"),
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric: drawn, with its ends in words and what is not a number in it."""

    name: str
    chart: Markup
    range: str
    ends: tuple[int, int]
    note: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """A checkpoint in the table."""

    step: int
    size_bytes: int
    saved_at: str
    metrics: str
    trouble: str
    link: str
    is_next: bool


def _training(visit: Visit) -> Response:
    repo = load_repo(visit)
    if repo.revision is None or not repo.has_run:
        raise EntryNotFoundError("this revision holds no training run")
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "training",
        "section": repo.record.id.type.plural,
        "now": visit.now,
    }
    files = revision_files(visit.house, View(repo.record, repo.revision))
    try:
        found = bounded_run(repo.record.id.full_name, files)
    except CairnError as error:
        return visit.render("training.html", **context, run=None, reason=str(error))
    shown = _shown(visit, repo, found.run)
    return visit.render("training.html", **context, run=found.run, left_out=found.left_out, **shown)


def _shown(visit: Visit, repo: RepoView, run: KeptRun) -> dict[str, Any]:
    point = run.resume_point
    words, css_class = _WORDS[run.status.value] if run.status else ("No record", "")
    curves = list(run.curves.items())
    return {
        "standing": words,
        "standing_class": css_class,
        "point": point,
        "curves": [_curve(name, curve, run.steps) for name, curve in curves[:MAX_CURVES]],
        "more_curves": max(0, len(curves) - MAX_CURVES),
        "rows": [_row(repo, one, is_next=one is point) for one in reversed(run.steps)],
        "facts": _facts(run.record) if run.record else [],
        "sessions": [_session(one) for one in run.record.sessions] if run.record else [],
        "environment": dict(run.record.sessions[-1].environment) if run.record else {},
        "fetch": f"cairn run fetch {repo.record.id.full_name} {repo.record.id.name}"
        f" --hub {visit.hub_url}",
        "resume": f"cairn run resume hub:{repo.record.id.full_name} --hub {visit.hub_url}"
        " --directory PROGRAM_FOLDER --trust-code",
    }


def _curve(name: str, curve: Sequence[tuple[int, float]], steps: Sequence[KeptStep]) -> Curve:
    odd = [step for step, value in curve if not isfinite(value)]
    note = (
        ""
        if not odd
        else f"No number at step {odd[0]}" + (f" and {len(odd) - 1:,} more" if len(odd) > 1 else "")
    )
    last = curve[-1][1]
    numbers = [value for _, value in curve if isfinite(value)]
    lowest, highest = (f"{end(numbers):.4g}" if numbers else "none" for end in (min, max))
    return Curve(
        name,
        line_chart.line_chart(curve, [one.step for one in steps], name),
        f"{last:.4g} at the end, {lowest} to {highest}",
        (curve[0][0], curve[-1][0]),
        note,
    )


def _row(repo: RepoView, one: KeptStep, *, is_next: bool) -> StepRow:
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in (one.metrics or {}).items())
    link = f"{repo.root}/tree/{repo.here}/{one.folder}"
    when = one.saved_at[:16].replace("T", " ")
    return StepRow(one.step, one.size_bytes, when, metrics, one.trouble, link, is_next)


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    """What the run is made from, in words."""
    recipe = record.recipe
    started = "cairn" if recipe.kind.value == "builtin" else "python"
    told = [("Started by", " ".join((started, *recipe.arguments)))] if recipe.arguments else []
    if recipe.digest is not None:
        told.append(("Script", f"{recipe.program}, {recipe.digest}"))
    told.append(("Seed", "not named" if record.seed is None else str(record.seed)))
    if record.base is not None:
        revision = f"@{record.base.revision}" if record.base.revision else ""
        told.append(("Base", f"{record.base.where}{revision}"))
    told += [("Data", f"{one.where}, {one.digest or 'without a digest'}") for one in record.data]
    if record.keep is not None:
        told.append(("Kept", _rules(record.keep)))
    return told


def _rules(keep: Retention) -> str:
    told = [f"the last {keep.last}"] if keep.last else []
    told += [f"every {keep.every}th"] if keep.every else []
    lean = "highest" if keep.highest else "lowest"
    told += [f"the best {keep.best} by the {lean} {keep.metric}"] if keep.best else []
    return ", ".join(told)


def _session(one: TrainingSession) -> str:
    begun = "anew" if one.from_step is None else f"after step {one.from_step:,}"
    where = ", ".join(
        f"{name} {one.environment[name]}" for name in _ENVIRONMENT if one.environment.get(name)
    )
    return f"{one.started[:16].replace('T', ' ')}, {begun}: {where}"


routes: list[BaseRoute] = [
    *repo_routes("/training/{rev}", endpoint(_training, long=True), "GET", "HEAD")
]
