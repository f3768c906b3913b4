"""Every tensor of a revision's checkpoint: totals, architecture and a table."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.hub.checkpoints import read_revision
from cairn.hub.routing import repo_routes
from cairn.hub.web.anatomy import anatomy_of
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.browse import View


def _tensors(visit: Visit) -> Response:
    repo = load_repo(visit)
    anatomy = None
    if repo.revision is not None:
        view = View(repo.record, repo.revision)
        checkpoint = read_revision(visit.memory, visit.house, visit.actor, view)
        if checkpoint is not None:
            entries = visit.house.catalog.history.manifest(repo.revision.tree).entries
            anatomy = anatomy_of(visit, checkpoint, entries)
    return visit.render(
        "tensors.html",
        repo=repo,
        tab="tensors",
        safety=repo_badge(visit, repo),
        section=repo.record.id.type.plural,
        now=visit.now,
        anatomy=anatomy,
    )


routes: list[BaseRoute] = [*repo_routes("/tensors/{rev}", endpoint(_tensors), "GET", "HEAD")]
