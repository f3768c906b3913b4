"""The list of models, datasets or spaces: search, filters, order, pages."""

from typing import get_args

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import RepoQuery, SortKey
from cairn.domain import RepoType
from cairn.errors import RequestError
from cairn.hub.routing import RawRoute
from cairn.hub.web.visit import Visit, endpoint

PAGE_SIZE = 30
MAX_OPTIONS = 60
_SORTS: list[tuple[SortKey, str]] = [
    ("lastModified", "Updated"),
    ("createdAt", "Created"),
    ("downloads", "Downloads"),
    ("trendingScore", "Trending"),
]


def _query(visit: Visit, kind: RepoType) -> RepoQuery:
    sort = visit.text("sort") or "lastModified"
    if sort not in get_args(SortKey):
        known = ", ".join(get_args(SortKey))
        raise RequestError(f"sort {sort[:40]!r} is not known: use one of {known}")
    tag = visit.text("tag")
    return RepoQuery(
        type=kind,
        text=visit.text("q"),
        author=visit.text("author") or None,
        tags=(tag,) if tag else (),
        pipeline_tag=visit.text("pipeline_tag") or None,
        library=visit.text("library") or None,
        license=visit.text("license") or None,
        sort=sort,  # type: ignore[arg-type]
        limit=PAGE_SIZE,
        cursor=visit.request.query_params.get("cursor") or None,
        viewer=visit.actor,
    )


def _list(visit: Visit) -> Response:
    kind = RepoType.from_plural(visit.param("kind"))
    landing = visit.param("landing") == "yes"
    repos = visit.house.catalog.repos
    query = _query(visit, kind)
    found = repos.search(query)
    chosen = {
        "q": query.text,
        "author": query.author or "",
        "tag": query.tags[0] if query.tags else "",
        "pipeline_tag": query.pipeline_tag or "",
        "library": query.library or "",
        "license": query.license or "",
        "sort": query.sort,
    }
    later = visit.with_query(cursor=found.next_cursor)
    here = f"{visit.base}/{kind.plural}"
    return visit.render(
        "list.html",
        section=kind.plural,
        landing=landing,
        repos=found.repos,
        total=found.total,
        totals=_totals(visit, kind, found.total),
        facets=_facets(visit, kind, chosen),
        chosen=chosen,
        filtered=any(value for name, value in chosen.items() if name != "sort"),
        sorts=_SORTS,
        first=here + visit.with_query(cursor=None) if query.cursor else None,
        next=here + later if found.next_cursor else None,
        now=visit.now,
        push_snippet=push_snippet(visit, f"you/first-{kind.value}", kind),
    )


def _totals(visit: Visit, shown: RepoType, shown_total: int) -> dict[str, int]:
    """How many repos of each kind the visitor can see; the shown kind counts its filters in."""
    totals = {}
    for kind in RepoType:
        if kind is shown:
            totals[kind.plural] = shown_total
        else:
            query = RepoQuery(type=kind, limit=1, viewer=visit.actor)
            totals[kind.plural] = visit.house.catalog.repos.search(query).total
    return totals


def _facets(
    visit: Visit, kind: RepoType, chosen: dict[str, str]
) -> list[tuple[str, str, list[tuple[str, int]]]]:
    facets = visit.house.catalog.repos.facets(kind, visit.actor)
    named = (
        ("pipeline_tag", "Task", facets.pipeline_tags),
        ("library", "Library", facets.libraries),
        ("license", "Licence", facets.licenses),
    )
    out = []
    for name, label, counts in named:
        options = list(counts.items())[:MAX_OPTIONS]
        if chosen[name] and chosen[name] not in counts:
            options.append((chosen[name], 0))
        out.append((name, label, options))
    for name, label in (("author", "Owner"), ("tag", "Tag")):
        if chosen[name]:
            out.append((name, label, [(chosen[name], 0)]))
    return out


def push_snippet(visit: Visit, name: str, kind: RepoType) -> str:
    """The commands that push a folder to this hub with the stock client."""
    option = "" if kind is RepoType.MODEL else f" --repo-type {kind.value}"
    return (
        f"export HF_ENDPOINT={visit.hub_url}\n"
        "hf auth login              # paste an access token of this hub\n"
        f"hf upload {name} ./folder .{option}"
    )


routes: list[BaseRoute] = [
    RawRoute("/", endpoint(_list), ("GET", "HEAD"), fixed={"kind": "models", "landing": "yes"}),
    RawRoute("/{kind:models|datasets|spaces}", endpoint(_list), ("GET", "HEAD")),
]
