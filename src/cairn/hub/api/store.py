"""What the store holds, in numbers."""

import threading
import time
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.store_reading import DamagedBlob, Reading, damaged_blobs, reading_of
from cairn.hub.identity import actor_of, house_of
from cairn.workflows.access import require_admin
from cairn.workflows.house import House
from cairn.workflows.journal import InWork, Journal
from cairn.workflows.maintain import lost_blobs
from cairn.workflows.optimize import waiting
from cairn.workflows.pausing import pause, paused_since, resume

MAX_FILES_NAMED = 5

router = APIRouter()


class CodecTotals(BaseModel):
    """The parts one codec keeps."""

    parts: int = Field(description="Number of parts.")
    plain_bytes: int = Field(description="Bytes they stand for.")
    stored_bytes: int = Field(description="Bytes they take on disk.")


class StoreTotals(BaseModel):
    """Counts and bytes of the whole store, whoever owns them."""

    pending: int = Field(description="Blobs that wait to be rewritten as tensors.")
    pending_bytes: int = Field(description="Bytes of these as they are downloaded.")
    blobs: int = Field(description="Distinct files.")
    logical_bytes: int = Field(description="Bytes of these files as they are downloaded.")
    stored_bytes: int = Field(description="Bytes on disk, indexes and recipes included.")
    raw_blobs: int = Field(description="Files kept as they came.")
    fast_blobs: int = Field(description="Files kept to be read fast instead of small.")
    packs: int = Field(description="Pack files.")
    parts: int = Field(description="Distinct parts in packs.")
    by_codec: dict[str, CodecTotals] = Field(description="Parts and bytes by codec.")
    damaged: int = Field(description="Blobs that revisions need, and are damaged or lost.")


class FileName(BaseModel):
    """A file of a repo."""

    type: Literal["model", "dataset", "space"] = Field(description="Which sort of repo.")
    repo: str = Field(description="The repo's id.")
    path: str = Field(description="The file's path in the newest commit that holds it.")


class BlobInWork(BaseModel):
    """The blob that is being rewritten."""

    sha256: str = Field(description="Its digest.")
    size_bytes: int = Field(description="Its bytes as they are downloaded.")
    done_bytes: int = Field(description="How many of these are encoded.")
    percent: int = Field(description="The same of a hundred; 100 while it is read back.")
    files: list[FileName] = Field(description="Some of the files that it is, five at most.")


class LaneTold(BaseModel):
    """What a lane of background work is at, as its process last said."""

    worker: str = Field(description="The process, as host:pid.")
    lane: str = Field(description="`scan`, `upkeep`, or `read` for tensor values.")
    step: str = Field(description="What it is at.")
    began_at: datetime = Field(description="Since when.")
    advanced_at: datetime = Field(description="When that last advanced.")
    seen_at: datetime = Field(description="When the process last said so.")
    hangs: bool = Field(description="It should have advanced by then.")


class Optimizing(BaseModel):
    """What the hub that answers does to blobs that wait, and did since it started."""

    state: Literal["off", "paused", "working", "idle"] = Field(
        description="`off`: this hub was told to optimize nothing (CAIRN_OPTIMIZE)."
    )
    paused_since: datetime | None = Field(description="When an administrator paused it.")
    since: datetime = Field(description="When this hub started: what follows counts from then.")
    blobs: int = Field(description="Blobs looked at.")
    plain_bytes: int = Field(description="Bytes of these as they are downloaded.")
    stored_bytes: int = Field(description="Bytes written for them, or left as they lay.")
    saved_bytes: int = Field(description="What they take less than before.")
    failed: int = Field(description="Damaged blobs, and passes that an error ended.")
    last_error: str | None = Field(description="The last of these errors; administrators only.")
    in_work: BlobInWork | None = Field(description="For administrators only; null at rest.")


class StoreAnswer(StoreTotals):
    """The totals, a moment old, and what is being done about what waits, as of now."""

    optimizing: Optimizing = Field(description="The rewriting of blobs as tensors.")
    verify_every_s: float = Field(
        description="Seconds in which this hub reads everything back once; 0: it does not."
    )
    reading: Reading | None = Field(description="How far that has come; null if it never began.")
    background: list[LaneTold] | None = Field(
        description="Background work of all processes on this catalog; for administrators only."
    )
    damaged_blobs: list[DamagedBlob] | None = Field(
        description="Of the damaged ones the first hundred; for administrators only."
    )


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
async def store(request: Request) -> StoreAnswer:
    """Totals over all repos; to anyone but administrators it names no file of any repo."""
    actor = await actor_of(request)
    memory: TotalsMemory = request.app.state.store_totals
    totals = await threads.call_long(memory.get, house_of(request))
    is_admin = actor.is_admin
    house = house_of(request)
    return StoreAnswer(
        **totals.model_dump(),
        optimizing=await threads.call_long(_optimizing, request, names_files=is_admin),
        verify_every_s=request.app.state.settings.verify_every_s,
        reading=await threads.call(reading_of, house),
        background=await threads.call(_background, house) if is_admin else None,
        damaged_blobs=await threads.call_long(damaged_blobs, house) if is_admin else None,
    )


@router.put("/store/pause", status_code=204, responses=PROBLEMS)
async def begin_pause(request: Request) -> None:
    """Have every hub on this store leave what waits as it is; for administrators."""
    actor = await actor_of(request)
    require_admin(actor)
    await threads.call(pause, house_of(request), actor)


@router.delete("/store/pause", status_code=204, responses=PROBLEMS)
async def end_pause(request: Request) -> None:
    """Have them go on; for administrators."""
    actor = await actor_of(request)
    require_admin(actor)
    await threads.call(resume, house_of(request), actor)


def _optimizing(request: Request, *, names_files: bool) -> Optimizing:
    house, journal = house_of(request), request.app.state.journal
    assert isinstance(journal, Journal)
    page, tally = journal.read()
    paused = paused_since(house)
    is_on = request.app.state.settings.optimize
    return Optimizing(
        state="off" if not is_on else "paused" if paused else "working" if page.in_work else "idle",
        paused_since=paused,
        since=page.since,
        blobs=tally.blobs,
        plain_bytes=tally.plain_bytes,
        stored_bytes=tally.stored_bytes,
        saved_bytes=tally.saved_bytes,
        failed=page.failed,
        last_error=page.last_error or None if names_files else None,
        in_work=_in_work(house, page.in_work) if names_files and page.in_work else None,
    )


def _background(house: House) -> list[LaneTold]:
    beats = house.catalog.lanes.all()
    return [LaneTold.model_validate(beat, from_attributes=True) for beat in beats]


def _in_work(house: House, work: InWork) -> BlobInWork:
    places = house.catalog.history.locations([work.blob.digest])[work.blob.digest]
    files = [
        FileName(type=p.repo.type.value, repo=p.repo.full_name, path=p.path)
        for p in places[:MAX_FILES_NAMED]
    ]
    return BlobInWork(
        sha256=work.blob.digest.hex,
        size_bytes=work.blob.size_bytes,
        done_bytes=work.done_bytes,
        percent=work.percent,
        files=files,
    )


def _totals(house: House) -> StoreTotals:
    stats, pending = house.store.stats(), waiting(house)
    return StoreTotals(
        pending=len(pending),
        pending_bytes=sum(blob.size_bytes for blob in pending),
        blobs=stats.blobs,
        logical_bytes=stats.logical_bytes,
        stored_bytes=stats.stored_bytes,
        raw_blobs=stats.raw_blobs,
        fast_blobs=len(house.store.kept_fast()),
        packs=stats.packs,
        parts=stats.parts,
        by_codec={
            name: CodecTotals(
                parts=share.parts, plain_bytes=share.plain_bytes, stored_bytes=share.stored_bytes
            )
            for name, share in stats.by_codec.items()
        },
        damaged=sum(1 for _ in lost_blobs(house)),
    )
