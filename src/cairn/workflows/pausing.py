"""Pauses and resumes what hubs do to a store in the background."""

from datetime import UTC, datetime

from cairn.domain import Actor
from cairn.workflows.house import House


def pause(house: House, by: Actor | None) -> bool:
    """Have raw blobs left as they are until `resume`; False if that is so already.

    `by` None is whoever works on this machine. A hub ends within the blob it has in hand.
    """
    if not house.store.pause.begin():
        return False
    house.catalog.audit.record(house.clock(), by, "store.pause")
    return True


def resume(house: House, by: Actor | None) -> bool:
    """Let hubs go on; False if there was no pause."""
    if not house.store.pause.end():
        return False
    house.catalog.audit.record(house.clock(), by, "store.resume")
    return True


def paused_since(house: House) -> datetime | None:
    """When the pause began; None if there is none."""
    since_s = house.store.pause.since_s()
    return None if since_s is None else datetime.fromtimestamp(since_s, UTC)
