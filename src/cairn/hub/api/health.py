"""Whether the hub answers."""

from fastapi import APIRouter
from pydantic import BaseModel

from cairn import __version__

router = APIRouter()


class Health(BaseModel):
    """That the hub answers, and which version it is."""

    status: str
    version: str


@router.get("/health")
async def health() -> Health:
    """Answers as long as the hub accepts requests."""
    return Health(status="ok", version=__version__)
