"""Two revisions side by side: a summary, a heat map, and what changed in tensors and settings."""

import shlex
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import RepoId, RepoType, Revision
from cairn.hub.comparisons import ComparisonMemory, compare_revisions, open_both
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import shape_text
from cairn.workflows.diff import Difference
from cairn.workflows.diff_description import describe_difference
from cairn.workflows.diff_map import heat_map
from cairn.workflows.diff_summary import summary
from cairn.workflows.tensor_changes import TensorChange

MAX_ROWS = 200
MAX_FILTER = 200
_MAX_DIGITS = 9


def _compare(visit: Visit) -> Response:
    repo = load_repo(visit)
    before, after = open_both(visit.house, visit.actor, repo.record.id, visit.param("revisions"))
    memory: ComparisonMemory = visit.request.app.state.comparisons
    found = compare_revisions(memory, visit.house, visit.actor, before, after)
    names = visit.param("revisions").split("...")
    wanted = visit.text("q")[:MAX_FILTER]
    rows = _wanted(sorted(found.changed, key=_size, reverse=True), wanted)
    start = _start(visit.text("start"), len(rows))
    return visit.render(
        "compare.html",
        repo=repo,
        tab="commits",
        section=repo.record.id.type.plural,
        now=visit.now,
        ends=[_end(name, view.revision) for name, view in zip(names, (before, after), strict=True)],
        names=names,
        sentences=summary(found),
        found=found,
        counts=describe_difference(found, equal_tensors=False)["counts"],
        command=_command(repo.record.id, names),
        rows=[_row(change) for change in rows[start : start + MAX_ROWS]],
        wanted=wanted,
        start=start,
        total=len(rows),
        previous=_page(wanted, start - MAX_ROWS, len(rows)),
        next=_page(wanted, start + MAX_ROWS, len(rows)),
        most=MAX_ROWS,
        drawn=_drawn(found),
        choices=[ref.short_name for ref in (*repo.branches, *repo.tags)],
    )


def _chosen(visit: Visit) -> Response:
    """The form's answer: the page whose address names both revisions."""
    repo = load_repo(visit)
    default = repo.record.default_branch
    ends = (visit.text("before") or default, visit.text("after") or default)
    both = "...".join(quote(end, safe="") for end in ends)
    return visit.redirect(f"/{repo.record.id.url_path}/compare/{both}")


def _wanted(changes: list[TensorChange], words: str) -> list[TensorChange]:
    """Those whose name, now or before, holds every word."""
    parts = words.lower().split()
    return [
        change
        for change in changes
        if all(
            part in f"{change.pair.before.name} {change.pair.after.name}".lower() for part in parts
        )
    ]


def _start(text: str, total: int) -> int:
    """The row a page begins with; what is no such row is the first."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    start = int(text) // MAX_ROWS * MAX_ROWS if is_number else 0
    return start if start < total else 0


def _page(wanted: str, start: int, total: int) -> str:
    """The address of the page from this row on; empty where there is none."""
    if not 0 <= start < total:
        return ""
    return "?" + urlencode({"q": wanted, "start": start})


def _command(repo_id: RepoId, names: list[str]) -> str:
    """What to type on the hub's machine for the same with all values."""
    kind = "" if repo_id.type is RepoType.MODEL else f"{repo_id.type.plural}/"
    repo = f"{kind}{repo_id.namespace}/{repo_id.name}"
    return shlex.join(["cairn", "diff", *(f"{repo}@{name}" for name in names)])


def _end(name: str, revision: Revision) -> tuple[str, Revision]:
    return (revision.id[:7] if name == revision.id else name, revision)


def _drawn(found: Difference) -> Markup | None:
    """The heat map, where values were compared and something changed; its text is escaped."""
    picture = heat_map(found)
    if not found.values_compared or not any(picture.cells.values()):
        return None
    return Markup(picture.svg())  # noqa: S704


def _size(change: TensorChange) -> float:
    relative = change.comparison.relative_change if change.comparison else None
    return float("inf") if relative is None else relative


def _row(change: TensorChange) -> dict[str, str]:
    before, after = change.pair.before, change.pair.after
    sides = [f"{one.tensor.dtype.label} {shape_text(one.tensor.shape)}" for one in (before, after)]
    told = change.comparison
    relative = told.relative_change if told else None
    return {
        "name": after.name,
        "was": before.name if change.pair.is_renamed else "",
        "verdict": change.verdict.value,
        "shape": " → ".join(dict.fromkeys(sides)),
        "relative": "" if relative is None else f"{100 * relative:.3g} %",
        "changed": "" if told is None else f"{100 * told.changed_fraction:.3g} %",
    }


routes: list[BaseRoute] = [
    *repo_routes("/compare", endpoint(_chosen), "GET", "HEAD"),
    *repo_routes("/compare/{revisions}", endpoint(_compare, long=True), "GET", "HEAD"),
]
