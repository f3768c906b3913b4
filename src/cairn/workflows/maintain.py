"""Keeps an installation healthy: what is stored, whether it still reads, what nobody needs."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from cairn.domain import Digest
from cairn.store import Collected, Sample, StoreStats, Verification
from cairn.workflows.house import House

STAGING_MARGIN_S = 3600.0


def store_stats(house: House) -> StoreStats:
    """What the store holds and in how many bytes."""
    return house.store.stats()


def verify_store(
    house: House, progress: Callable[[int], None] | None = None, sample: Sample | None = None
) -> Verification:
    """Read every blob back and compare its SHA-256; also report blobs revisions need and lack.

    `progress` gets the count of plain bytes newly checked. With `sample` only some are read.
    """
    return house.store.verify(None, progress, sample).with_bad(lost_blobs(house))


def lost_blobs(house: House) -> Iterator[tuple[Digest, str]]:
    """Blobs that revisions need and the store lacks, or knows to be damaged; and that as words."""
    for digest in house.catalog.history.live_digests():
        if not house.store.has(digest):
            yield digest, "a revision needs this blob and the store does not have it"


def collect_garbage(house: House, grace_s: float) -> Collected:
    """Remove blobs that no revision and no upload of the last `grace_s` seconds needs.

    Safe beside running uploads: a blob put or wanted within the grace period stays. What was
    measured and scanned of blobs that no repo holds, which chunks they consist of, and what was
    found between trees that are gone goes too.
    """
    house.catalog.uploads.expire(house.clock() - timedelta(seconds=grace_s))
    house.catalog.blob_health.forget_unowned()
    house.catalog.blob_scans.forget_unowned()
    house.catalog.comparisons.forget_unowned()
    house.catalog.weight_reports.forget_unowned()
    house.catalog.chunk_lists.forget_unowned()
    return house.store.collect(house.catalog.history.live_digests, grace_s)


def expire_staging(house: House, xet_epoch_s: float) -> int:
    """Drop upload scratch that no client can still refer to; returns how many objects went.

    A Xet client may build on what it uploaded during the current epoch and the one before;
    a shard that arrived in the last moment of those may still be worked on.
    """
    return house.store.staging.expire(2 * xet_epoch_s + STAGING_MARGIN_S)


def trim_chunk_lists(house: House, max_chunks: int) -> int:
    """Forget which chunks blobs consist of that are gone, or unused for longest, beyond a limit.

    Returns of how many blobs. Only uploads can tell: they send again what was forgotten.
    """
    lists = house.catalog.chunk_lists
    return lists.forget_unowned() + lists.trim(max_chunks)
