"""Our own JSON endpoints, below `/api/cairn`."""

from fastapi import APIRouter

from cairn.hub.api import health, inspect, sizes, store

router = APIRouter(prefix="/api/cairn", tags=["cairn"])
for part in (health, store, inspect, sizes):
    router.include_router(part.router)
