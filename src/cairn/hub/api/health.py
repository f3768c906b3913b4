"""Whether the hub answers, and whether its background work goes on."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cairn import __version__
from cairn.catalog import LaneBeat

router = APIRouter()


class Health(BaseModel):
    """That the hub answers, which version it is, and what of its background work hangs."""

    status: Literal["ok", "stalled"] = Field(description="`stalled`: background work hangs.")
    version: str
    stalled: list[str] = Field(
        description="Lanes of background work (`scan`, `upkeep`) that do not advance any more:"
        " restart the hub."
    )


@router.get("/health")
async def health(request: Request) -> Health:
    """Answers as long as the hub accepts requests, without asking a database."""
    lanes: Callable[[], list[LaneBeat]] = request.app.state.lanes
    stalled = [beat.lane for beat in lanes() if beat.hangs]
    return Health(status="stalled" if stalled else "ok", version=__version__, stalled=stalled)
