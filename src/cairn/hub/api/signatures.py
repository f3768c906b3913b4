"""Who signed a revision, and the digests one signs: without a file being sent."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.errors import EntryNotFoundError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS, Problem
from cairn.hub.api.repos import Kind, Name, Rev, caller, open_revision
from cairn.hub.bodies import read_bytes
from cairn.hub.identity import house_of
from cairn.provenance.signing import MAX_BUNDLE_BYTES
from cairn.workflows.attaching import attach_signature
from cairn.workflows.browse import View
from cairn.workflows.revision_proof import RevisionSignature, Verdict, prove, revision_digests

router = APIRouter()


class Digests(BaseModel):
    """The files of a revision by the SHA-256 of their bytes: what a signature of it lists."""

    commit: str
    sha256: dict[str, str] = Field(description="Path to 64 hex digits.")


class SignatureChecked(BaseModel):
    """One bundle, and what the hub makes of it."""

    sha256: str = Field(description="Of the bundle itself, by which it is fetched.")
    verdict: Verdict
    signer: str = Field(description="By the hub's name if it is believed, else as it says itself.")
    reasons: list[str] = Field(description="What speaks against it.")
    sender: str = Field(description="Who attached it.")
    received_at: datetime


class Signatures(BaseModel):
    """The signatures of a revision; verified: somebody the hub believes signed these files."""

    commit: str
    verdict: Verdict
    signers: list[str] = Field(description="Who is believed and has signed.")
    signatures: list[SignatureChecked]


@router.get("/{kind}/{namespace}/{name}/digests/{rev:path}", responses=PROBLEMS)
async def digests(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    rev: Rev,
) -> Digests:
    """The SHA-256 of every file of a revision."""
    house = house_of(request)

    def work() -> Digests:
        view = open_revision(house, actor, kind, namespace, name, rev)
        return Digests(commit=view.revision.id, sha256=revision_digests(house, view))

    return await threads.call_long(work)


@router.get("/{kind}/{namespace}/{name}/signatures/{rev:path}", responses=PROBLEMS)
async def signatures(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    rev: Rev,
) -> Signatures:
    """Who signed a revision, checked now."""
    house = house_of(request)

    def work() -> Signatures:
        return _told(request, open_revision(house, actor, kind, namespace, name, rev))

    return await threads.call_long(work)


@router.post(
    "/{kind}/{namespace}/{name}/signatures/{rev:path}",
    status_code=201,
    responses={
        **PROBLEMS,
        200: {"model": Signatures, "description": "It was there already."},
        409: {"model": Problem, "description": "The revision has as many as it may have."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def attach(
    request: Request,
    response: Response,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    rev: Rev,
) -> Signatures:
    """Attach a bundle that signs the files of a revision, for those who may write to the repo.

    One that signs other files, or whose signature is not that of its key, is refused with 400.
    """
    house = house_of(request)
    content = await read_bytes(request, MAX_BUNDLE_BYTES)

    def work() -> tuple[bool, Signatures]:
        view = open_revision(house, actor, kind, namespace, name, rev)
        return attach_signature(house, actor, view, content), _told(request, view)

    is_new, told = await threads.call_long(work)
    if not is_new:
        response.status_code = 200
    return told


@router.get(
    "/{kind}/{namespace}/{name}/bundle/{sha256}/{rev:path}",
    responses={**PROBLEMS, 200: {"content": {"application/json": {}}}},
    response_class=Response,
)
async def bundle(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    kind: Kind,
    namespace: Name,
    name: Name,
    sha256: str,
    rev: Rev,
) -> Response:
    """A bundle as it was attached, for `cairn verify --signature` and other tools."""
    house = house_of(request)

    def work() -> bytes:
        view = open_revision(house, actor, kind, namespace, name, rev)
        for one in house.catalog.attachments.of(view.repo.uid, view.revision.id):
            if one.digest.hex == sha256:
                return one.content
        raise EntryNotFoundError(
            f"revision {view.revision.id} has no bundle {sha256[:80]!r}", commit=view.revision.id
        )

    return Response(await threads.call(work), media_type="application/json")


def _told(request: Request, view: View) -> Signatures:
    proof = prove(house_of(request), view)
    return Signatures(
        commit=view.revision.id,
        verdict=proof.verdict,
        signers=list(proof.signers),
        signatures=[_signature(one) for one in proof.signatures],
    )


def _signature(one: RevisionSignature) -> SignatureChecked:
    return SignatureChecked(
        sha256=one.attachment.digest.hex,
        verdict=one.verdict,
        signer=one.signer,
        reasons=list(one.reasons),
        sender=one.attachment.sender,
        received_at=one.attachment.received_at,
    )
