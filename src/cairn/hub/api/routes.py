"""Our own JSON endpoints, below `/api/cairn`."""

from fastapi import APIRouter

from cairn.hub.api import (
    advisories,
    compare,
    health,
    inspect,
    log,
    notifications,
    recalls,
    rescans,
    signatures,
    sizes,
    store,
    tensor_health,
)

router = APIRouter(prefix="/api/cairn", tags=["cairn"])
for part in (
    advisories,
    health,
    log,
    store,
    recalls,
    rescans,
    inspect,
    tensor_health,
    compare,
    sizes,
    signatures,
    notifications,
):
    router.include_router(part.router)
