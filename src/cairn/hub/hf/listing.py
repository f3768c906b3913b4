"""Lists repos: all models, datasets or spaces, a user's own, and the tags to filter by."""

import re
from dataclasses import replace
from typing import Literal, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.catalog import RepoPage, RepoQuery, RepoRecord, SortKey
from cairn.domain import RepoType
from cairn.errors import RequestError
from cairn.hub import threads
from cairn.hub.hf import shapes
from cairn.hub.hf.contents import contents
from cairn.hub.hf.params import count_of, flag_of, many_of, next_link
from cairn.hub.hf.shapes import Json, WireResponse
from cairn.hub.identity import actor_of, house_of, require_user
from cairn.hub.routing import RawRoute
from cairn.workflows import browse
from cairn.workflows.house import House

PAGE_REPOS = 100
MAX_PAGE_REPOS = 1000
MAX_PAGE_WITH_FILES = 100  # naming every file of a repo costs a walk over its tree

_NUMBER = re.compile(r"(min|max):(\d{1,12}(?:\.\d{1,6})?)([KMBT]?)\Z")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
# Keys a listing shows only when asked for.
_ON_REQUEST = ("cardData", "config", "siblings", "model-index", "usedStorage", "resourceGroup")
# Conditions on things no repo here has: nothing matches them.
_NEVER = ("apps", "inference", "inference_provider", "benchmark", "linked", "models", "datasets")


async def list_repos(request: Request) -> Response:
    """One page of repos that match all conditions."""
    actor = await actor_of(request)
    expand = many_of(request, "expand")
    wanted = _wanted(request, expand)
    files = bool({"siblings", "config"} & wanted)
    most = MAX_PAGE_WITH_FILES if files else MAX_PAGE_REPOS
    query = RepoQuery(
        type=RepoType.from_plural(request.path_params["kind"]),
        text=" ".join(many_of(request, "search")),
        author=request.query_params.get("author") or None,
        tags=tuple(_tags(request)),
        pipeline_tag=request.query_params.get("pipeline_tag") or None,
        library=request.query_params.get("library") or None,
        sort=_sort(request.query_params.get("sort")),
        limit=count_of(request, "limit", PAGE_REPOS, most),
        cursor=request.query_params.get("cursor") or None,
        viewer=actor,
    )
    if any(request.query_params.get(name) for name in _NEVER):
        return JSONResponse([])
    house = house_of(request)
    page = await threads.call(house.catalog.repos.search, query)
    repos = _narrowed(request, page)
    rows = await threads.call(_shapes, house, repos, wanted, files=files)
    headers = next_link(request, cursor=page.next_cursor) if page.next_cursor else None
    shown = [shapes.only(r, expand) for r in rows] if expand else rows
    # In a thread: cards and configs of a hundred repos can be megabytes.
    return await threads.call(WireResponse, shown, headers=headers)


def _wanted(request: Request, expand: list[str]) -> set[str]:
    wanted = set(expand)
    if flag_of(request, "full"):
        wanted |= {"siblings", "cardData"}
    return wanted | {key for key in ("cardData", "config") if flag_of(request, key)}


def _shapes(house: House, repos: list[RepoRecord], wanted: set[str], *, files: bool) -> list[Json]:
    rows = []
    for record in repos:
        shape = shapes.repo(record)
        if files:
            shape |= contents(house, record, browse.head(house, record), blobs=False)
        rows.append({k: v for k, v in shape.items() if k not in _ON_REQUEST or k in wanted})
    return rows


def _tags(request: Request) -> list[str]:
    """Tags from `filter`, repeated or separated by commas as old clients send them."""
    given = [part for value in many_of(request, "filter") for part in value.split(",")]
    return [tag.strip() for tag in given if tag.strip()]


def _sort(text: str | None) -> SortKey:
    key = text or "trendingScore"
    if key not in get_args(SortKey):
        known = ", ".join(get_args(SortKey))
        raise RequestError(f"unknown sort key {key[:40]!r}; known: {known}")
    return cast("SortKey", key)


def _narrowed(request: Request, page: RepoPage) -> list[RepoRecord]:
    """The repos of a page that also meet `gated` and `num_parameters`.

    A page may come out short, even empty: clients follow the next link all the same.
    """
    repos = list(page.repos)
    gated = request.query_params.get("gated")
    if gated is not None:
        wanted = gated.lower() in ("true", "1")
        repos = [record for record in repos if bool(record.gated) is wanted]
    if request.query_params.get("num_parameters"):
        least, most = _bounds(request.query_params["num_parameters"])
        repos = [r for r in repos if r.parameters and least <= sum(r.parameters.values()) <= most]
    return repos


def _bounds(text: str) -> tuple[float, float]:
    bounds: dict[str, float] = {"min": 0.0, "max": float("inf")}
    for part in text.split(","):
        found = _NUMBER.match(part.strip())
        if found is None:
            raise RequestError(f"num_parameters={text[:40]!r} must look like 'min:6B,max:128B'")
        side, number, unit = found.groups()
        bounds[side] = float(number) * _UNITS[unit]
    return bounds["min"], bounds["max"]


async def own_repos(request: Request) -> Response:
    """Every repo of the caller's, or of an organisation in the path that they may see."""
    actor = require_user(await actor_of(request))
    author = request.path_params.get("organization") or actor.name
    house = house_of(request)
    rows: list[Json] = []
    for repo_type in RepoType:
        query = RepoQuery(type=repo_type, author=author, limit=MAX_PAGE_REPOS, viewer=actor)
        rows += await threads.call(_all, house, query)
    total = sum(row["storage"] for row in rows) or 1
    for row in rows:
        row["storagePercent"] = round(100 * row["storage"] / total, 2)
    return JSONResponse(rows)


def _all(house: House, query: RepoQuery) -> list[Json]:
    rows: list[Json] = []
    while True:
        page = house.catalog.repos.search(query)
        rows += [
            {
                "id": record.id.full_name,
                "type": record.id.type.value,
                "updatedAt": shapes.timestamp(record.updated_at),
                "visibility": "private" if record.private else "public",
                "storage": record.size_bytes,
            }
            for record in page.repos
        ]
        if page.next_cursor is None:
            return rows
        query = replace(query, cursor=page.next_cursor)


async def tags_by_type(request: Request) -> Response:
    """The values repos can be filtered by."""
    actor = await actor_of(request)
    repo_type = RepoType.from_plural(request.path_params["kind"])
    facets = await threads.call(house_of(request).catalog.repos.facets, repo_type, actor)
    return JSONResponse(
        {
            "pipeline_tag": _tag_shapes("pipeline_tag", facets.pipeline_tags),
            "library": _tag_shapes("library", facets.libraries),
            "license": _tag_shapes("license", facets.licenses, prefix="license:"),
        }
    )


_TagKind = Literal["pipeline_tag", "library", "license"]


def _tag_shapes(kind: _TagKind, counts: dict[str, int], prefix: str = "") -> list[Json]:
    return [{"id": prefix + name, "label": name, "type": kind} for name in counts]


_KINDS = "{kind:models|datasets|spaces}"

routes: list[BaseRoute] = [
    RawRoute(f"/api/{_KINDS}", list_repos),
    RawRoute("/api/{kind:models|datasets}-tags-by-type", tags_by_type),
    RawRoute("/api/settings/repositories", own_repos),
    RawRoute("/api/organizations/{organization}/settings/repositories", own_repos),
]
