"""Rewrites landed blobs as tensors: reads each blob's layout and lets the store cut along it."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from cairn.domain import Blob, Digest, Layout
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.formats import read_layout
from cairn.store import SMALL, LikelyBase, Optimized, Profile, StoppedError
from cairn.workflows.house import House, Keeper
from cairn.workflows.lineage import likely_bases
from cairn.workflows.pace import Pace


def optimize_pending(
    house: Keeper,
    damaged: Callable[[IntegrityError], None],
    progress: Callable[[int], None] | None = None,
    profile: Callable[[Digest], Profile] = lambda _: SMALL,
    pace: Pace | None = None,
    begins: Callable[[Blob], None] | None = None,
) -> Iterator[Optimized]:
    """Optimize the blobs still kept raw, one after the other, until `pace` says that it is enough.

    The queue is the store itself: after a kill the next pass starts where this one stopped, and
    a blob that was left in the middle shares what was encoded of it.
    `damaged` is told of blobs whose bytes are wrong; the store keeps them as they are, marked.
    `begins` gets each blob before it is read, `progress` the count of plain bytes newly done;
    `profile` says what a blob is for.
    """
    pace = pace or Pace()

    def advance(plain_bytes: int) -> None:
        if progress is not None:
            progress(plain_bytes)
        pace.advance(plain_bytes)

    for digest in house.store.pending():
        if not pace.goes_on():
            return
        try:
            if begins is not None:
                begins(house.store.blob(digest))
            yield optimize_blob(house, digest, advance, profile(digest))
        except BlobNotFoundError:
            continue  # gc took it between listing and opening
        except IntegrityError as error:
            damaged(error)
        except StoppedError:
            return


def waiting(house: Keeper) -> list[Blob]:
    """The blobs that the next pass will look at, in its order."""
    found = []
    for digest in house.store.pending():
        try:
            found.append(house.store.blob(digest))
        except BlobNotFoundError:
            continue  # gc was faster
    return found


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
        StoppedError: `progress` raised it; what was encoded so far is kept.
    """
    layout, likely = layout_of(house, digest), likely_to_be_made_from(house, digest)
    return house.store.optimize(digest, layout, progress, profile, likely)


def likely_to_be_made_from(house: Keeper, digest: Digest) -> Iterator[LikelyBase]:
    """What the blob was probably made from, as far as it is here, has tensors, and is known."""
    for base in likely_bases(house, digest) if isinstance(house, House) else ():
        with suppress(BlobNotFoundError, IntegrityError):
            layout = layout_of(house, base)
            if layout is not None:
                yield LikelyBase(base, layout)


def layout_of(house: Keeper, digest: Digest) -> Layout | None:
    """The blob's anatomy, or None for anything no reader accepts: it is kept all the same."""
    with house.store.open(digest) as source:
        try:
            return read_layout(source, house.readers)
        except UntrustedDataError:
            return None
