"""Safetensors views over the wire: asked for by `?view=safetensors`, or implied by a name.

Stock clients ask for `model.safetensors`. Where the hub or the repo's owner has it so and only
`pytorch_model.bin` is there, they get the view of that; where it cannot be made, they are told
that there is no such file, as always, and go on to the pickle. Views are in no listing, and
loaders look for shards there: so pickled shards make one view, which is asked for first.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from cairn.config import Settings
from cairn.domain import Entry
from cairn.errors import EntryNotFoundError, RequestError, UntrustedDataError
from cairn.hub import threads
from cairn.hub.checkpoints import CheckpointMemory
from cairn.hub.file_response import answer_for
from cairn.hub.identity import house_of
from cairn.hub.view_response import ViewResponse
from cairn.hub.views import ViewMemory, stored_view
from cairn.workflows.browse import View
from cairn.workflows.views import (
    SafetensorsView,
    implied_sources,
    is_index,
    pickled_path,
    shards_of,
)

KNOWN = "safetensors"


async def asked_for(
    request: Request, at: View, entry: Entry, headers: Mapping[str, str]
) -> Response:
    """The view of a file that the query names; of all shards, if the file is their index.

    Raises:
        RequestError: there is no such view, or safetensors cannot hold what is in the file.
        EntryNotFoundError: a shard is not there.
        UntrustedDataError: the file cannot be read.
    """
    wanted = request.query_params["view"]
    if wanted != KNOWN:
        raise RequestError(f"there is no view {wanted[:40]!r}; known: {KNOWN}")
    entries: tuple[Entry, ...] = (entry,)
    if is_index(entry):
        entries = await threads.call(shards_of, house_of(request), at.revision, entry)
    view = await _remembered(request, entries)
    return _response(request, view, view.name, headers)


async def implied(request: Request, at: View, path: str, headers: Mapping[str, str]) -> Response:
    """What a loader gets for a file that is not there but can be made from one that is.

    Raises:
        EntryNotFoundError: it cannot, or views are off; it carries the commit.
    """
    absent = EntryNotFoundError(
        f"{path[:200]!r} is not in revision {at.revision.id}", commit=at.revision.id
    )
    pickled = pickled_path(path)
    if pickled is None or not _enabled(request, at):
        raise absent
    try:
        house = house_of(request)
        entries = await threads.call(implied_sources, house, at.revision, pickled)
        view = await _remembered(request, entries)
    except (EntryNotFoundError, RequestError, UntrustedDataError):
        raise absent from None
    return _response(request, view, path, headers)


def _enabled(request: Request, at: View) -> bool:
    settings: Settings = request.app.state.settings
    said = at.repo.safetensors_views
    return settings.safetensors_views if said is None else said


async def _remembered(request: Request, entries: tuple[Entry, ...]) -> SafetensorsView:
    state = request.app.state
    views: ViewMemory = state.views
    checkpoints: CheckpointMemory = state.checkpoints
    return await threads.call_long(stored_view, views, checkpoints, house_of(request), entries)


def _response(
    request: Request, view: SafetensorsView, path: str, headers: Mapping[str, str]
) -> Response:
    answer = answer_for(request, view.size_bytes, path, view.etag, headers)
    if request.method == "HEAD" or not answer.has_body:
        return answer.without_body()
    return ViewResponse(view, house_of(request), answer)
