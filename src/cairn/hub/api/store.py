"""What the store holds, in numbers."""

import threading
import time

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


# Counting walks the whole store. However often totals are asked for, it may take a twentieth
# of one thread's time: an answer is milliseconds old in a small store, seconds in a large one.
_AGE_PER_COUNTING_S = 20.0


class TotalsMemory:
    """The totals counted last, for as long as they are fresh; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: StoreTotals | None = None
        self._fresh_until_s = 0.0

    def get(self, house: House) -> StoreTotals:
        """The totals, counted now unless they were a moment ago; one caller counts for all."""
        with self._lock:
            began_s = time.monotonic()
            if self._totals is None or began_s >= self._fresh_until_s:
                self._totals = _totals(house)
                now_s = time.monotonic()
                self._fresh_until_s = now_s + _AGE_PER_COUNTING_S * (now_s - began_s)
            return self._totals


@router.get("/store", responses=PROBLEMS)
async def store(request: Request) -> StoreTotals:
    """Totals over all repos, a moment old; says nothing about what any repo holds."""
    await actor_of(request)
    memory: TotalsMemory = request.app.state.store_totals
    return await threads.call_long(memory.get, house_of(request))


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
