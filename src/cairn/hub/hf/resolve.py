"""Gives out files: `/resolve` for clients and browsers, `/raw` for what git would show.

HEAD answers 200 by itself. A redirect on the same host would lose the headers clients read.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import gitobjects
from cairn.domain import Actor, Entry, RepoId, Verdict
from cairn.errors import EntryNotFoundError, NotFoundError, RepoNotFoundError
from cairn.hub import threads
from cairn.hub.blob_response import blob_response
from cairn.hub.errors import header_text
from cairn.hub.file_response import content_disposition
from cairn.hub.hf import views
from cairn.hub.hf.params import repo_id_of
from cairn.hub.identity import house_of, releasing_of, visitor_of
from cairn.hub.routing import RawRoute, repo_routes
from cairn.workflows import browse
from cairn.workflows.browse import View
from cairn.workflows.house import House
from cairn.workflows.views import pickled_path


def _find(
    house: House, actor: Actor, repo_id: RepoId, revision: str, path: str
) -> tuple[View, Entry]:
    view = browse.open_view(house, actor, repo_id, revision)
    return view, browse.file(house, view.revision, path)


async def resolve(request: Request) -> Response:
    """The bytes of a file at a revision, or of a view of it."""
    # Pages link here, so a browser session counts as well as a token.
    actor = await visitor_of(request)
    params, house = request.path_params, house_of(request)
    repo_id, revision, path = repo_id_of(request), params["revision"], params["path"]
    try:
        view, entry = await threads.call(_find, house, actor, repo_id, revision, path)
    except EntryNotFoundError:
        if pickled_path(path) is None:
            raise
        view = await threads.call(browse.open_view, house, actor, repo_id, revision)
        made = await views.implied(request, view, path, _headers(view))
        _count(request, view)
        return made
    if "view" in request.query_params:
        _count(request, view)
        return await views.asked_for(request, view, entry, _headers(view))
    warning = await _released(request, actor, view, entry)
    _count(request, view)
    etag = entry.blob.digest.hex if entry.lfs else entry.oid
    headers = {**_headers(view), **warning}
    if entry.lfs:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(entry.blob.size_bytes)}
    return blob_response(request, entry.blob, entry.path, etag, headers)


async def _released(request: Request, actor: Actor, view: View, entry: Entry) -> dict[str, str]:
    """What clients are to print of a file that they may have.

    Raises:
        BlockedError: they may not.
        UnavailableError: it has to be scanned first, and cannot be now.
    """
    if request.method == "HEAD":
        # No bytes. huggingface_hub takes a refusal here for a bad connection, one of GET for what
        # it is.
        return {}
    releasing = releasing_of(request)
    if await threads.call(releasing.is_held, actor, view.repo, entry):
        await threads.call_long(releasing.scan_now, entry)
    verdict = await threads.call(releasing.release, view.repo, entry)
    if verdict is None or verdict.rank < Verdict.SUSPICIOUS.rank:
        return {}
    # huggingface_hub prints the first message of each topic.
    words = f"{entry.path}: the scan of this file says {verdict.value}; look at its page first"
    return {"X-HF-Warning": header_text(f"scan-{entry.oid};{words}")}


def _headers(view: View) -> dict[str, str]:
    """The commit, and that caches ask again: a repo may become private, a branch moves."""
    shared = not (view.repo.private or view.repo.gated)
    caching = "no-cache" if shared else "private, no-cache"
    return {"X-Repo-Commit": view.revision.id, "Cache-Control": caching}


def _count(request: Request, view: View) -> None:
    if request.method == "GET" and _is_whole(request):
        house_of(request).catalog.repos.count_download(view.repo.id)


def _is_whole(request: Request) -> bool:
    """Whether this request starts a download: not the later parts of one read in ranges."""
    asked = request.headers.get("range", "")
    return not asked or asked.replace(" ", "").startswith("bytes=0-")


async def raw(request: Request) -> Response:
    """A regular file's bytes, or the LFS pointer of a large one."""
    actor = await visitor_of(request)
    params = request.path_params
    view, entry = await threads.call(
        _find, house_of(request), actor, repo_id_of(request), params["revision"], params["path"]
    )
    headers = _headers(view)
    if not entry.lfs:
        headers |= await _released(request, actor, view, entry)
        return blob_response(request, entry.blob, entry.path, entry.oid, headers)
    headers |= {"ETag": f'"{entry.oid}"', "Content-Disposition": content_disposition(entry.path)}
    pointer = gitobjects.lfs_pointer(entry.blob)
    return Response(pointer, headers=headers, media_type="text/plain; charset=utf-8")


async def bare_name(request: Request) -> Response:
    """Ids without a namespace (`gpt2`), as old clients allow: this hub has none."""
    name = request.path_params["name"]
    raise RepoNotFoundError(f"{name[:96]!r} is not a repo: ids here are 'namespace/name'")


async def no_endpoint(request: Request) -> Response:
    """What looks like the page of a model in the namespace `api`, which nobody can have."""
    raise NotFoundError(f"there is no endpoint {request.url.path[:200]}")


_METHODS = ("GET", "HEAD")
_KINDS = "models|datasets|spaces"

routes: list[BaseRoute] = [
    *repo_routes("/resolve/{revision}/{path:path}", resolve, *_METHODS),
    *repo_routes("/raw/{revision}/{path:path}", raw, *_METHODS),
    RawRoute("/{name}/resolve/{revision}/{path:path}", bare_name, _METHODS),
]

# Tried after every other route of the API, so that they only see what nothing else knows.
last_routes: list[BaseRoute] = [
    RawRoute(f"/api/{{kind:{_KINDS}}}/{{name}}", bare_name, _METHODS),
    RawRoute(
        f"/api/{{kind:{_KINDS}}}/{{name}}/{{verb:revision|tree|refs|commits|paths-info}}/{{rest:path}}",
        bare_name,
        (*_METHODS, "POST"),
    ),
    RawRoute("/api/{name}", no_endpoint, _METHODS),
]
