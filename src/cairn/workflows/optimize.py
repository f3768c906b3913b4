"""Rewrites landed blobs as tensors: reads each blob's layout and lets the store cut along it."""

from collections.abc import Callable, Iterator

from cairn.domain import Digest, Layout
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.formats import read_layout
from cairn.store import SMALL, Optimized, Profile
from cairn.workflows.house import Keeper


def optimize_pending(
    house: Keeper,
    damaged: Callable[[IntegrityError], None],
    progress: Callable[[int], None] | None = None,
    profile: Profile = SMALL,
) -> Iterator[Optimized]:
    """Optimize every blob still kept raw, one after the other.

    The queue is the store itself: after a kill the next pass starts where this one stopped.
    `damaged` is told of blobs whose bytes are wrong; the store keeps them as they are, marked.
    `progress` gets the count of plain bytes newly done; `profile` says what the blobs are for.
    """
    for digest in house.store.pending():
        try:
            yield optimize_blob(house, digest, progress, profile)
        except BlobNotFoundError:
            continue  # gc took it between listing and opening
        except IntegrityError as error:
            damaged(error)


def optimize_blob(
    house: Keeper,
    digest: Digest,
    progress: Callable[[int], None] | None = None,
    profile: Profile = SMALL,
) -> Optimized:
    """Rewrite one blob; revisions and digests do not change.

    Raises:
        BlobNotFoundError: the store does not hold it.
        IntegrityError: what the store holds does not match the digest.
    """
    return house.store.optimize(digest, _layout(house, digest), progress, profile)


def _layout(house: Keeper, digest: Digest) -> Layout | None:
    """The blob's anatomy, or None for anything no reader accepts: it is kept all the same."""
    with house.store.open(digest) as source:
        try:
            return read_layout(source, house.readers)
        except UntrustedDataError:
            return None
