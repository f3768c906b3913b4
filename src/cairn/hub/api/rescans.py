"""How far this hub is with judging what it keeps by new rules."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.identity import releasing_of
from cairn.workflows.house import House
from cairn.workflows.rejudging import rescan_progress

router = APIRouter()


class Rescanning(BaseModel):
    """Judging by the rules that hold. Evidence is judged: no file is read for it."""

    rules: str = Field(description="Which rules hold.")
    extraction: str = Field(description="Which extractors hold.")
    since: datetime = Field(description="When a worker first brought these along.")
    total: int = Field(description="Scans kept: one per file content and name.")
    done: int = Field(description="How many of these were judged by the rules that hold.")
    percent: int = Field(description="The same of a hundred; 100 only when nothing is left.")
    unread_blobs: int = Field(description="Files that wait to be read by these extractors.")
    eta_s: float | None = Field(
        description="Seconds left as it went so far; null at the end and before the beginning."
    )
    active: bool = Field(description="Whether a worker is at it.")


class RescansAnswer(BaseModel):
    """What the hub is told to do about scans, and how far it is."""

    scan_policy: str = Field(description="Of the hub: hold, warn, or allow (nothing is scanned).")
    progress: Rescanning | None = Field(description="Null if this hub never scanned.")


@router.get("/rescans", responses=PROBLEMS)
async def rescans(request: Request) -> RescansAnswer:
    """How far judging anew is, as numbers that name no file."""
    releasing = releasing_of(request)

    def work() -> RescansAnswer:
        return RescansAnswer(scan_policy=releasing.default, progress=_progress(releasing.house))

    return await threads.call(work)


def _progress(house: House) -> Rescanning | None:
    found = rescan_progress(house)
    if found is None:
        return None
    return Rescanning(
        rules=found.rules,
        extraction=found.extraction,
        since=found.since,
        total=found.total,
        done=found.done,
        percent=found.percent,
        unread_blobs=found.unread_blobs,
        eta_s=found.eta_s,
        active=found.active,
    )
