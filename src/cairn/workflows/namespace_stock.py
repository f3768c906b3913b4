"""What each namespace takes on disk: counted now and then, for every recipe has to be read."""

from cairn.domain import Digest, Measure
from cairn.workflows.house import House
from cairn.workflows.listing import all_repos


def count_stored(house: House) -> dict[str, int]:
    """Count what each namespace takes on disk, and note it for the checks; reads every recipe."""
    owned: dict[str, set[Digest]] = {}
    for record in all_repos(house):
        digests = house.catalog.history.digests(record.uid)
        owned.setdefault(record.id.namespace, set()).update(digests)
    shares = house.store.take_stock().shares(owned)
    counted = {name: share.stored_bytes for name, share in shares.items()}
    house.catalog.quotas.record_stored(counted)
    return counted


def count_stored_if_limited(house: House) -> None:
    """Count where some namespace, or all of them, may only take so much on disk."""
    default = house.default_quota.stored_bytes
    if default is not None or house.catalog.quotas.limits_any(Measure.STORED):
        count_stored(house)
