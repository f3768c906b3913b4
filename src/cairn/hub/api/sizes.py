"""What a revision's files weigh and what they occupy."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor, Revision
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.identity import house_of
from cairn.workflows.house import House

router = APIRouter()

MAX_FILES = 1000


class FileSize(BaseModel):
    """One file. Parts shared with other files count in each of them."""

    path: str
    sha256: str
    logical_bytes: int = Field(description="Bytes of the file as it is downloaded.")
    stored_bytes: int = Field(description="Bytes of the parts it is kept as.")


class Sizes(BaseModel):
    """A revision's files, and its totals with shared parts counted once."""

    commit: str
    logical_bytes: int = Field(description="Plain bytes of all files.")
    stored_bytes: int = Field(description="Bytes they occupy together.")
    file_count: int = Field(description="Files in the revision.")
    offset: int = Field(description="Files left out before the first one listed.")
    files: list[FileSize] = Field(description="Files in path order.")


@router.get("/{kind}/{namespace}/{name}/sizes/{rev:path}", responses=PROBLEMS)
async def sizes(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    limit: Annotated[int, Query(ge=1, le=MAX_FILES, description="Most files to list.")] = 200,
    offset: Annotated[int, Query(ge=0, le=10**9, description="Files to leave out first.")] = 0,
) -> Sizes:
    """Logical and stored bytes of a revision, per file and in total."""
    house = house_of(request)

    def work() -> Sizes:
        view = asked.open(house, actor)
        return _sizes(house, view.revision, limit, offset)

    return await threads.call_long(work)


def _sizes(house: House, revision: Revision, limit: int, offset: int) -> Sizes:
    manifest = house.catalog.history.manifest(revision.tree)
    entries = list(manifest.entries.values())
    digests = {entry.blob.digest for entry in entries}
    files = [
        FileSize(
            path=entry.path,
            sha256=entry.blob.digest.hex,
            logical_bytes=entry.blob.size_bytes,
            stored_bytes=house.store.stored_bytes([entry.blob.digest]),
        )
        for entry in entries[offset : offset + limit]
    ]
    return Sizes(
        commit=revision.id,
        logical_bytes=manifest.size_bytes,
        stored_bytes=house.store.stored_bytes(digests),
        file_count=len(entries),
        offset=offset,
        files=files,
    )
