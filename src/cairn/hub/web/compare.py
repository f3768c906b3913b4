"""Two revisions side by side: a summary, a heat map, and what changed in tensors and settings."""

import shlex
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Comparison, RepoType, Role
from cairn.errors import NamingError, RevisionNotFoundError
from cairn.hub.comparisons import (
    ComparisonMemory,
    compare_revisions,
    open_both,
    other_repo,
    split_revisions,
)
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.revision_choice import revision_choice
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import shape_text
from cairn.workflows.access import openable
from cairn.workflows.browse import View
from cairn.workflows.cards import base_models
from cairn.workflows.diff import Difference
from cairn.workflows.diff_description import describe_difference
from cairn.workflows.diff_map import heat_map
from cairn.workflows.diff_summary import summary
from cairn.workflows.inspection import parameter_of
from cairn.workflows.tensor_changes import TensorChange, Verdict

MAX_ROWS = 200
MAX_FILTER = 200
REFRESH_S = 3  # how often a page looks whether the background is done
_MAX_DIGITS = 9
_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS, Role.EMA))


def _compare(visit: Visit) -> Response:
    repo = load_repo(visit)
    other = visit.text("before_repo")
    repo_id, named = repo.record.id, visit.param("revisions")
    before, after = open_both(visit.house, visit.actor, repo_id, named, other)
    memory: ComparisonMemory = visit.request.app.state.comparisons
    compared = compare_revisions(memory, visit.house, before, after)
    found = compared.found
    names = split_revisions(named)
    wanted = visit.text("q")[:MAX_FILTER]
    changed = _told(found)
    rows = _wanted(found, sorted(changed, key=_order), wanted)
    start = _start(visit.text("start"), len(rows))
    views = (before, after)
    return visit.render(
        "compare.html",
        repo=repo,
        tab="commits",
        safety=repo_badge(visit, repo),
        section=repo_id.type.plural,
        now=visit.now,
        ends=[_end(repo, name, view) for name, view in zip(names, views, strict=True)],
        sentences=summary(found),
        found=found,
        changed=changed,
        waiting=compared.waiting,
        why_not=compared.why_not,
        refresh_s=REFRESH_S if compared.waiting else None,
        counts=describe_difference(found, equal_tensors=False)["counts"],
        command=_command(views, names),
        rows=[_row(found, change) for change in rows[start : start + MAX_ROWS]],
        wanted=wanted,
        start=start,
        total=len(rows),
        previous=_page(visit, start - MAX_ROWS, len(rows)),
        next=_page(visit, start + MAX_ROWS, len(rows)),
        most=MAX_ROWS,
        drawn=_drawn(found),
        choices=[
            revision_choice(visit, view.repo, name) for name, view in zip(names, views, strict=True)
        ],
        before_repo=other,
        parents=base_models(repo.record),
    )


def _chosen(visit: Visit) -> Response:
    """The form's answer: the page whose address names both revisions.

    What was typed counts before what was selected. Without either, it is the last commit.
    """
    repo = load_repo(visit)
    other = visit.text("before_repo")
    before = visit.text("before_id") or _offered(visit, repo, other)
    after = visit.text("after_id") or visit.text("after") or repo.record.default_branch
    both = "...".join(quote(end, safe="") for end in (before, after))
    query = f"?{urlencode({'before_repo': other})}" if other else ""
    return visit.redirect(f"/{repo.record.id.url_path}/compare/{both}{query}")


def _offered(visit: Visit, repo: RepoView, other: str) -> str:
    """The revision selected to compare from; the select may have listed those of another repo."""
    selected = visit.text("before")
    if not other:
        parents = repo.revision.parents if repo.revision else ()
        return selected or next(iter(parents), repo.record.default_branch)
    there = openable(visit.house, visit.actor, other_repo(repo.record.id, other))
    try:
        visit.house.catalog.history.resolve(there.uid, selected)
    except (NamingError, RevisionNotFoundError):
        return there.default_branch
    return selected


def _wanted(found: Difference, changes: list[TensorChange], words: str) -> list[TensorChange]:
    """Those whose name, now or before, or whose parameter's name holds every word."""
    parts = words.lower().split()

    def text(change: TensorChange) -> str:
        after = change.pair.after
        parameter = parameter_of(found.after, after.path, after.tensor) or ""
        return f"{change.pair.before.name} {after.name} {parameter}".lower()

    return [change for change in changes if all(part in text(change) for part in parts)]


def _start(text: str, total: int) -> int:
    """The row a page begins with; what is no such row is the first."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    start = int(text) // MAX_ROWS * MAX_ROWS if is_number else 0
    return start if start < total else 0


def _page(visit: Visit, start: int, total: int) -> str:
    """The address of the page from this row on; empty where there is none."""
    return visit.with_query(start=start) if 0 <= start < total else ""


def _command(views: tuple[View, View], names: tuple[str, str]) -> str:
    """What to type on the hub's machine for the same with all values."""
    targets = []
    for view, name in zip(views, names, strict=True):
        repo_id = view.repo.id
        kind = "" if repo_id.type is RepoType.MODEL else f"{repo_id.type.plural}/"
        targets.append(f"{kind}{repo_id.full_name}@{name}")
    return shlex.join(["cairn", "diff", *targets])


def _end(repo: RepoView, name: str, view: View) -> tuple[str, str]:
    """How the page calls a side, and the address of its commit."""
    short = view.revision.id[:7] if name == view.revision.id else name
    there = view.repo.id
    label = short if there == repo.record.id else f"{there.full_name}@{short}"
    return label, f"{repo.base}/{there.url_path}/commit/{view.revision.id}"


def _drawn(found: Difference) -> Markup | None:
    """The heat map, where values were compared and something changed; its text is escaped."""
    picture = heat_map(found)
    if not found.values_compared or not any(picture.cells.values()):
        return None
    return Markup(picture.svg())  # noqa: S704


def _told(found: Difference) -> list[TensorChange]:
    """The tensors to list: without their values, those of which headers say something."""
    return [
        change
        for change in found.changed
        if found.values_compared or change.verdict is not Verdict.UNKNOWN or _is_other_type(change)
    ]


def _is_other_type(change: TensorChange) -> bool:
    return change.pair.before.tensor.dtype is not change.pair.after.tensor.dtype


def _order(change: TensorChange) -> tuple[bool, float]:
    """The model before the state of its training, and what changed most before the rest."""
    relative = change.comparison.relative_change if change.comparison else None
    size = float("inf") if relative is None else relative
    return change.pair.after.tensor.role not in _MODEL, -size


def _row(found: Difference, change: TensorChange) -> dict[str, str]:
    before, after = change.pair.before, change.pair.after
    sides = [f"{one.tensor.dtype.label} {shape_text(one.tensor.shape)}" for one in (before, after)]
    told = change.comparison
    return {
        "name": after.name,
        "of": parameter_of(found.after, after.path, after.tensor) or "",
        "was": before.name if change.pair.is_renamed else "",
        "verdict": change.verdict.value,
        "shape": " → ".join(dict.fromkeys(sides)),
        "relative": _relative(told),
        "changed": "" if told is None else f"{100 * told.changed_fraction:.3g} %",
    }


def _relative(told: Comparison | None) -> str:
    if told is None:
        return ""
    relative = told.relative_change
    return "from zero" if relative is None else f"{100 * relative:.3g} %"


routes: list[BaseRoute] = [
    *repo_routes("/compare", endpoint(_chosen), "GET", "HEAD"),
    *repo_routes("/compare/{revisions}", endpoint(_compare, long=True), "GET", "HEAD"),
]
