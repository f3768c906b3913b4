"""The page of a person or an organisation: who they are and which repos of theirs one may see."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import RepoQuery
from cairn.domain import Quota, RepoType, Usage
from cairn.hub.routing import RawRoute
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.quotas import quota_of

SHOWN_PER_KIND = 24
MAX_MEMBERS = 100


def _profile(visit: Visit) -> Response:
    catalog = visit.house.catalog
    account = catalog.accounts.get(visit.param("namespace"))
    groups = {
        kind.plural: catalog.repos.search(
            RepoQuery(type=kind, author=account.name, limit=SHOWN_PER_KIND, viewer=visit.actor)
        )
        for kind in RepoType
    }
    members = catalog.accounts.members(account.name)[:MAX_MEMBERS] if account.is_org else []
    return visit.render(
        "profile.html",
        account=account,
        members=members,
        groups=groups,
        usage=_usage(visit, account.name),
        empty=not any(found.repos for found in groups.values()),
        now=visit.now,
    )


def _usage(visit: Visit, namespace: str) -> tuple[Usage, Quota] | None:
    """What the namespace keeps and may keep, for those who see its private repos."""
    if not visit.actor.may_read_private(namespace):
        return None
    return visit.house.catalog.quotas.usage(namespace), quota_of(visit.house, namespace)


routes: list[BaseRoute] = [RawRoute("/{namespace}", endpoint(_profile), ("GET", "HEAD"))]
