"""The transparency log as the files that mirrors and monitors read, and proofs of revisions.

Specification: https://c2sp.org/tlog-tiles, with `/api/cairn/log` as the prefix.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from cairn.domain import Actor, RepoId, RepoType
from cairn.errors import NamingError, RepoNotFoundError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Kind, Name, Rev, caller
from cairn.hub.identity import house_of
from cairn.provenance.log import LogProof, Tile
from cairn.workflows import transparency
from cairn.workflows.house import House

router = APIRouter()

_FOR_GOOD = "public, max-age=31536000, immutable"


class ProofAnswer(BaseModel):
    """An entry of the log, and the proof that it is there."""

    number: int = Field(description="Which entry it is, from 0.")
    size: int = Field(description="Entries in the log whose head the proof leads to.")
    hidden: bool = Field(description="Whether the log keeps from others what the entry says.")
    entry: str = Field(description="The entry as the log has it.")
    content: str = Field(description="What it says: the entry, or what a hidden one commits to.")
    proof: str = Field(description="The whole proof as a file: https://c2sp.org/tlog-proof.")


@router.get("/log/checkpoint", response_class=PlainTextResponse, responses=PROBLEMS)
async def checkpoint(request: Request) -> PlainTextResponse:
    """The signed head of the log: origin, number of entries, root hash."""
    note = await threads.call_long(transparency.signed_head, house_of(request))
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/log/key", response_class=PlainTextResponse, responses=PROBLEMS)
async def key(request: Request) -> PlainTextResponse:
    """The public key that signs the log. Who asks here for it trusts this connection."""
    house = house_of(request)
    public_key = await threads.call(lambda: house.signatory.public_key)
    return PlainTextResponse(f"{public_key}\n")


@router.get("/log/keys", response_class=PlainTextResponse, responses=PROBLEMS)
async def keys(request: Request) -> PlainTextResponse:
    """What leads from each key that signed the log before to the next; empty if it never changed.

    A line of base64 for each, the oldest first: a proof of the entry that names the new key, whose
    head both keys signed.
    """
    signatory = house_of(request).signatory
    told = await threads.call(signatory.handovers)
    return PlainTextResponse(told, headers={"Cache-Control": "no-cache"})


@router.get("/log/witnessed", response_class=PlainTextResponse, responses=PROBLEMS)
async def witnessed(request: Request) -> PlainTextResponse:
    """The newest head that witnesses cosigned, with their lines."""
    note = await threads.call(transparency.witnessed, house_of(request))
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/log/tile/{path:path}", response_class=Response, responses=PROBLEMS)
async def tile(
    request: Request, path: Annotated[str, Path(max_length=100, description="Level and number.")]
) -> Response:
    """Hashes of the log's tree, or entries: `0/x001/234` or `entries/000.p/17`."""
    wanted = Tile.at(f"tile/{path}")
    content = await threads.call(transparency.tile_content, house_of(request), wanted)
    headers = {"Cache-Control": _FOR_GOOD}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get("/{kind}/{namespace}/{name}/log/{rev:path}", responses=PROBLEMS)
async def proof(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    rev: Rev,
) -> ProofAnswer:
    """The log's entry of a revision and the proof that it is in the log."""
    house = house_of(request)
    return await threads.call_long(_answer, house, actor, kind, namespace, name, rev)


def _answer(
    house: House, actor: Actor, kind: str, namespace: str, name: str, rev: str
) -> ProofAnswer:
    try:
        repo_id = RepoId(RepoType.from_plural(kind), namespace, name)
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such repo: {error}") from None
    return _shape(transparency.prove(house, actor, repo_id, rev))


def _shape(found: LogProof) -> ProofAnswer:
    content = found.entry if found.opening is None else found.opening.content
    return ProofAnswer(
        number=found.index,
        size=found.head.size,
        hidden=found.opening is not None,
        entry=found.entry.decode(),
        content=content.decode(),
        proof=found.serialise().decode(),
    )
