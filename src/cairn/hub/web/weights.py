"""What is odd about a model's weights, against those it was made from: facts, plots and a score.

Nothing is computed here: the report is made in the background, and this page looks again for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.analysis.honest_models import SCORES
from cairn.domain import RepoType
from cairn.errors import EntryNotFoundError
from cairn.hub.checkpoints import read_revision
from cairn.hub.routing import repo_routes
from cairn.hub.web import svg
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import path_url, plural, shape_text
from cairn.hub.weights import Sibling, State, Weighed, weigh
from cairn.workflows.browse import View
from cairn.workflows.cards import base_models
from cairn.workflows.weights_map import changed_layers, leading_directions

PAGE_SIZE = 50
MAX_FACTS = 30
MAX_OUTLIERS = 4
REFRESH_S = 3


@dataclass(frozen=True, slots=True)
class TensorRow:
    """How one tensor moved, in words; `more_rows` and `more_columns` are not listed."""

    name: str
    shape: str
    relative: str
    times_usual: str
    shares: str
    rows: Sequence[str]
    more_rows: int
    columns: Sequence[str]
    more_columns: int


@dataclass(frozen=True, slots=True)
class SiblingRow:
    """Another model of the same base, and where its own report is."""

    name: str
    link: str
    score: str


def _weights(visit: Visit) -> Response:
    repo = load_repo(visit)
    base, base_rev = visit.text("base"), visit.text("base_rev")
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "security",
        "safety": repo_badge(visit, repo),
        "section": repo.record.id.type.plural,
        "now": visit.now,
        "named_base": base,
        "named_rev": base_rev,
        "parents": base_models(repo.record),
        "found": None,
        "refresh_s": None,
    }
    found = _found(visit, repo, base, base_rev)
    if found is None:
        return visit.render("weights.html", **context)
    waits = found.state in (State.WAITING, State.RUNNING)
    context |= {"found": found, "refresh_s": REFRESH_S if waits else None}
    if found.base is not None:
        context |= _about_base(repo, found.base)
    if found.report is not None:
        context |= _report(visit, found.report, found)
    return visit.render("weights.html", **context)


def _found(visit: Visit, repo: RepoView, base: str, base_rev: str) -> Weighed | None:
    """None where there are no weights to look at."""
    if repo.revision is None:
        return None
    view = View(repo.record, repo.revision)
    if read_revision(visit.memory, visit.house, visit.actor, view) is None:
        return None
    return weigh(visit.house, visit.actor, view, base, base_rev)


def _about_base(repo: RepoView, base: View) -> dict[str, Any]:
    """The base's name and page, and where both are compared value by value."""
    assert repo.revision is not None
    there = base.repo.id
    compare = None
    if repo.record.id.type is RepoType.MODEL:
        ends = f"{base.revision.id}...{repo.revision.id}"
        compare = f"{repo.root}/compare/{ends}?before_repo={path_url(there.full_name)}"
    return {
        "base_name": there.full_name,
        "base_link": f"{repo.base}/{there.url_path}/card/{base.revision.id}",
        "base_commit": base.revision.id[:7],
        "compare_link": compare,
    }


def _report(visit: Visit, report: Mapping[str, Any], found: Weighed) -> dict[str, Any]:
    number = visit.page_number()
    start = (number - 1) * PAGE_SIZE
    tensors = report["tensors"]
    shown = tensors[start : start + PAGE_SIZE]
    if number > 1 and not shown:
        raise EntryNotFoundError(f"there is no page {number} of these tensors")
    score = report["evidence"]["score"]
    return {
        "report": report,
        "score": None if score is None else f"{score:.2f}",
        "strip": None if score is None else _strip(score, found.siblings),
        "layers": _drawn(changed_layers(report).svg()) if tensors else None,
        "directions": _drawn(leading_directions(report).svg()) if _has_leads(tensors) else None,
        "rows": [_row(one) for one in shown],
        "total": len(tensors),
        "facts": report["facts"][:MAX_FACTS],
        "more_facts": max(0, len(report["facts"]) - MAX_FACTS),
        "siblings": [_sibling_row(visit, one) for one in found.siblings],
        "previous": visit.with_query(page=number - 1) if number > 1 else None,
        "next": visit.with_query(page=number + 1) if start + PAGE_SIZE < len(tensors) else None,
        "note": f"{start + 1} to {start + len(shown)} of {plural(len(tensors), 'tensor')}",
    }


def _strip(score: float, siblings: Sequence[Sibling]) -> Markup:
    known = [one.score for one in siblings if one.score is not None]
    text = (
        f"This model's score is {score:.2f}. {sum(one >= score for one in SCORES)} of"
        f" {len(SCORES)} honest fine-tunes of the benchmark score as high."
    )
    rows = [svg.Marks("honest", SCORES), svg.Marks("sibling", known)]
    return svg.score_strip(score, rows, "Score among honest models", text)


def _has_leads(tensors: Sequence[Mapping[str, Any]]) -> bool:
    return any(one["lead"] is not None for one in tensors)


def _drawn(picture: str) -> Markup:
    """A picture whose text is escaped."""
    return Markup(picture)  # noqa: S704


def _row(one: Mapping[str, Any]) -> TensorRow:
    relative, usual = one["relative_change"], one["times_usual"]
    return TensorRow(
        name=one["name"],
        shape=shape_text(tuple(one["shape"])),
        relative="from zero" if relative is None else f"{100 * relative:.3g} %",
        times_usual="" if usual is None else f"{usual:.2g}",
        shares=", ".join(f"{100 * share:.3g} %" for share in one["leading_shares"][:2]),
        rows=[_outlier(row) for row in one["rows"][:MAX_OUTLIERS]],
        more_rows=max(0, len(one["rows"]) - MAX_OUTLIERS),
        columns=[_outlier(column) for column in one["columns"][:MAX_OUTLIERS]],
        more_columns=max(0, len(one["columns"]) - MAX_OUTLIERS),
    )


def _outlier(one: Mapping[str, Any]) -> str:
    token = f" {one['token']!r}" if "token" in one else ""
    height = "" if one["z"] is None else f" (z {one['z']:.0f})"
    return f"{one['index']}{token}{height}"


def _sibling_row(visit: Visit, one: Sibling) -> SiblingRow:
    if one.numbers is None:
        score = "no report"
    else:
        score = "none" if one.score is None else f"{one.score:.2f}"
    link = f"{visit.base}/{one.repo.url_path}/weights"
    return SiblingRow(one.repo.full_name, link, score)


routes: list[BaseRoute] = [
    *repo_routes("/weights/{rev}", endpoint(_weights, long=True), "GET", "HEAD")
]
