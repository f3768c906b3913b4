"""What the caller is told, and what of it they have read."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from cairn.domain import Actor
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import caller
from cairn.hub.identity import house_of
from cairn.workflows.access import require_person

router = APIRouter()

_LARGEST_ID = (1 << 63) - 1


class Told(BaseModel):
    """One notification."""

    id: int
    at: datetime
    kind: str = Field(description="verdict, recall, appeal, waiver, hub or access.")
    text: str
    link: str = Field(description="A path of this hub; empty for none.")
    repo: str | None = Field(description="namespace/name of the repo that it is about.")
    read_at: datetime | None


class Notifications(BaseModel):
    """The newest notifications of the caller."""

    unread: int = Field(description="How many of all are not read.")
    notifications: list[Told]


class Read(BaseModel):
    """What was read."""

    up_to: Annotated[int, Field(ge=0, le=_LARGEST_ID, description="The id of the newest read.")]


@router.get("/notifications", responses=PROBLEMS)
async def notifications(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[int | None, Query(ge=0, le=_LARGEST_ID, description="Older ones.")] = None,
    unread: Annotated[bool, Query(description="Only those not read.")] = False,
) -> Notifications:
    """What the caller is told, the newest first."""
    kept = house_of(request).catalog.notifications
    name = require_person(actor).name

    def work() -> Notifications:
        found = kept.of(name, limit, before=before, unread=unread)
        return Notifications(
            unread=kept.count_unread(name),
            notifications=[
                Told(
                    id=one.id,
                    at=one.at,
                    kind=one.kind,
                    text=one.text,
                    link=one.link,
                    repo=one.repo.full_name if one.repo else None,
                    read_at=one.read_at,
                )
                for one in found
            ],
        )

    return await threads.call(work)


@router.post("/notifications/read", status_code=204, responses=PROBLEMS)
async def mark_read(request: Request, actor: Annotated[Actor, Depends(caller)], read: Read) -> None:
    """Note that the caller has read all up to one."""
    kept = house_of(request).catalog.notifications
    await threads.call(kept.mark_read, require_person(actor).name, read.up_to)
