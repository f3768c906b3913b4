"""What the store holds, in numbers."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.identity import actor_of, house_of
from cairn.workflows.house import House

router = APIRouter()


class CodecTotals(BaseModel):
    """The parts one codec keeps."""

    parts: int = Field(description="Number of parts.")
    plain_bytes: int = Field(description="Bytes they stand for.")
    stored_bytes: int = Field(description="Bytes they take on disk.")


class StoreTotals(BaseModel):
    """Counts and bytes of the whole store, whoever owns them."""

    pending: int = Field(description="Blobs that wait to be rewritten as tensors.")
    blobs: int = Field(description="Distinct files.")
    logical_bytes: int = Field(description="Bytes of these files as they are downloaded.")
    stored_bytes: int = Field(description="Bytes on disk, indexes and recipes included.")
    raw_blobs: int = Field(description="Files kept as they came.")
    packs: int = Field(description="Pack files.")
    parts: int = Field(description="Distinct parts in packs.")
    by_codec: dict[str, CodecTotals] = Field(description="Parts and bytes by codec.")


@router.get("/store", responses=PROBLEMS)
async def store(request: Request) -> StoreTotals:
    """Totals over all repos; says nothing about what any repo holds."""
    await actor_of(request)
    return await threads.call_long(_totals, house_of(request))


def _totals(house: House) -> StoreTotals:
    stats = house.store.stats()
    return StoreTotals(
        pending=sum(1 for _ in house.store.pending()),
        blobs=stats.blobs,
        logical_bytes=stats.logical_bytes,
        stored_bytes=stats.stored_bytes,
        raw_blobs=stats.raw_blobs,
        packs=stats.packs,
        parts=stats.parts,
        by_codec={
            name: CodecTotals(
                parts=share.parts, plain_bytes=share.plain_bytes, stored_bytes=share.stored_bytes
            )
            for name, share in stats.by_codec.items()
        },
    )
