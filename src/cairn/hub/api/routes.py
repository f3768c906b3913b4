"""Our own JSON endpoints, below `/api/cairn`."""

from fastapi import APIRouter

from cairn.hub.api import compare, health, inspect, sizes, store

router = APIRouter(prefix="/api/cairn", tags=["cairn"])
for part in (health, store, inspect, compare, sizes):
    router.include_router(part.router)
