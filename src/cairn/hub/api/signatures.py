"""Bundles about revisions: who signed one, the digests one signs, how one was built."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.errors import EntryNotFoundError
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS, Problem
from cairn.hub.api.repos import Asked, caller
from cairn.hub.bodies import read_bytes
from cairn.hub.identity import house_of
from cairn.provenance.signing import MAX_BUNDLE_BYTES, InputRole
from cairn.workflows.attaching import attach_bundle
from cairn.workflows.browse import View
from cairn.workflows.revision_proof import CheckedBundle, Claim, Verdict, prove, revision_digests

router = APIRouter()


class Digests(BaseModel):
    """The files of a revision by the SHA-256 of their bytes: what a signature of it lists."""

    commit: str
    sha256: dict[str, str] = Field(description="Path to 64 hex digits.")


class BundleChecked(BaseModel):
    """One bundle, and what the hub makes of it."""

    sha256: str = Field(description="Of the bundle itself, by which it is fetched.")
    verdict: Verdict
    signer: str = Field(description="By the hub's name if it is believed, else as it says itself.")
    reasons: list[str] = Field(description="What speaks against it.")
    sender: str = Field(description="Who attached it.")
    received_at: datetime
    imported: bool = Field(
        description="It came with a family file, which says who attached it elsewhere, and when."
    )


class Input(BaseModel):
    """Something that went into a build."""

    role: InputRole
    uri: str
    digests: dict[str, str] = Field(description="By algorithm, such as sha256 and gitCommit.")


class Build(BaseModel):
    """How files came to be, as somebody states it."""

    evidence: Literal["attested"]
    builder: str = Field(description="URI of who ran the build.")
    build_type: str = Field(description="URI of the recipe.")
    inputs: list[Input]
    parameters: dict[str, Any]
    started: datetime | None
    finished: datetime | None
    files: int = Field(description="How many files of the revision it names.")


class Attested(BaseModel):
    """One statement on a build; null where the bundle cannot be read."""

    bundle: BundleChecked
    build: Build | None


class Provenance(BaseModel):
    """What is stated of how a revision was built."""

    commit: str
    attestations: list[Attested]


class Signatures(BaseModel):
    """The signatures of a revision; verified: somebody the hub believes signed these files."""

    commit: str
    verdict: Verdict
    signers: list[str] = Field(description="Who is believed and has signed.")
    signatures: list[BundleChecked]


@router.get("/{kind}/{namespace}/{name}/digests/{rev:path}", responses=PROBLEMS)
async def digests(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
) -> Digests:
    """The SHA-256 of every file of a revision."""
    house = house_of(request)

    def work() -> Digests:
        view = asked.open(house, actor)
        return Digests(commit=view.revision.id, sha256=revision_digests(house, view))

    return await threads.call_long(work)


@router.get("/{kind}/{namespace}/{name}/signatures/{rev:path}", responses=PROBLEMS)
async def signatures(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
) -> Signatures:
    """Who signed a revision, checked now."""
    house = house_of(request)

    def work() -> Signatures:
        return _told(request, asked.open(house, actor))

    return await threads.call_long(work)


@router.get("/{kind}/{namespace}/{name}/provenance/{rev:path}", responses=PROBLEMS)
async def provenance(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
) -> Provenance:
    """Who says that they built a revision, from what and how; checked now."""
    house = house_of(request)

    def work() -> Provenance:
        view = asked.open(house, actor)
        return Provenance(
            commit=view.revision.id,
            attestations=[
                Attested(bundle=checked_bundle(one), build=_build(one.claim))
                for one in prove(house, view).provenance
            ],
        )

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
    asked: Asked,
) -> Signatures:
    """Attach a bundle that signs the files of a revision, or says how they were built.

    For those who may write to the repo. A bundle about other files, or whose signature is not that
    of its key, is refused with 400.
    """
    house = house_of(request)
    content = await read_bytes(request, MAX_BUNDLE_BYTES)

    def work() -> tuple[bool, Signatures]:
        view = asked.open(house, actor)
        return attach_bundle(house, actor, view, content), _told(request, view)

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
    asked: Asked,
    sha256: str,
) -> Response:
    """A bundle as it was attached, for `cairn verify --signature` and other tools."""
    house = house_of(request)

    def work() -> bytes:
        view = asked.open(house, actor)
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
        signatures=[checked_bundle(one) for one in proof.signatures],
    )


def checked_bundle(one: CheckedBundle) -> BundleChecked:
    """A bundle as this API tells of it."""
    return BundleChecked(
        sha256=one.attachment.digest.hex,
        verdict=one.verdict,
        signer=one.signer,
        reasons=list(one.reasons),
        sender=one.attachment.sender,
        received_at=one.attachment.received_at,
        imported=one.attachment.imported,
    )


def _build(claim: Claim | None) -> Build | None:
    if claim is None or claim.provenance is None:
        return None
    built = claim.provenance
    return Build(
        evidence="attested",
        builder=built.builder,
        build_type=built.build_type,
        inputs=[
            Input(role=one.role, uri=one.uri, digests=dict(one.digests)) for one in built.inputs
        ],
        parameters=dict(built.parameters),
        started=built.started,
        finished=built.finished,
        files=claim.covered,
    )
