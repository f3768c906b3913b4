"""Two revisions side by side: a summary, a heat map, and what changed in tensors and settings."""

from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Revision
from cairn.hub.comparisons import ComparisonMemory, compare_revisions, open_both
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import shape_text
from cairn.workflows.diff import Difference
from cairn.workflows.diff_map import heat_map
from cairn.workflows.diff_summary import summary
from cairn.workflows.tensor_changes import TensorChange

MAX_ROWS = 200


def _compare(visit: Visit) -> Response:
    repo = load_repo(visit)
    before, after = open_both(visit.house, visit.actor, repo.record.id, visit.param("revisions"))
    memory: ComparisonMemory = visit.request.app.state.comparisons
    found = compare_revisions(memory, visit.house, visit.actor, before, after)
    rows = sorted(found.changed, key=_size, reverse=True)
    names = visit.param("revisions").split("...")
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
        rows=[_row(change) for change in rows[:MAX_ROWS]],
        hidden=max(0, len(rows) - MAX_ROWS),
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
