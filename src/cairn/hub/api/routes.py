"""Our own JSON endpoints, below `/api/cairn`."""

from fastapi import APIRouter

from cairn.hub.api import (
    advisories,
    compare,
    decisions,
    estimates,
    health,
    inspect,
    log,
    notifications,
    recalls,
    rescans,
    security,
    signatures,
    sizes,
    store,
    tensor_health,
    training,
    weights,
)

router = APIRouter(prefix="/api/cairn", tags=["cairn"])
for part in (
    advisories,
    health,
    log,
    store,
    recalls,
    rescans,
    notifications,
    decisions,
    inspect,
    tensor_health,
    training,
    compare,
    weights,
    estimates,
    sizes,
    signatures,
    security,
):
    router.include_router(part.router)
