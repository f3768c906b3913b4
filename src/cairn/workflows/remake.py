"""Encodes blobs that are kept as parts once more: for another use, or in other chains."""

from collections.abc import Callable, Iterable, Iterator

from cairn.domain import Blob, Digest, RepoId
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.store import Optimized, Profile, StoppedError
from cairn.workflows.house import House, Keeper
from cairn.workflows.optimize import layout_of, likely_to_be_made_from
from cairn.workflows.pace import Pace


def blobs_of(house: House, repo_id: RepoId, revision: str | None) -> list[Blob]:
    """The distinct blobs of a revision (None: the newest of the default branch), by path.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: it is not there.
    """
    record = house.catalog.repos.get(repo_id)
    at = house.catalog.history.resolve(record.uid, revision or record.default_ref)
    entries = house.catalog.history.manifest(at.tree).entries.values()
    found = {entry.blob.digest: entry.blob for entry in entries}
    return list(found.values())


def remake_blobs(
    house: Keeper,
    digests: Iterable[Digest],
    profile: Profile,
    damaged: Callable[[IntegrityError], None],
    progress: Callable[[int], None] | None = None,
    pace: Pace | None = None,
) -> Iterator[Optimized]:
    """Remake one blob after the other until `pace` says that it is enough; see `BlobStore.remake`.

    The first of a chain comes first, so that those after it can go on from there.
    What was made already is made no second time, so that a run that was killed is begun anew.
    `damaged` is told of blobs whose bytes are wrong: they stay as they are, marked. `progress`
    gets the count of plain bytes newly looked at.
    """
    pace = pace or Pace()

    def advance(plain_bytes: int) -> None:
        if progress is not None:
            progress(plain_bytes)
        pace.advance(plain_bytes)

    for digest in house.store.oldest_first(digests):
        if not pace.goes_on():
            return
        try:
            yield remake_blob(house, digest, profile, advance)
        except BlobNotFoundError:
            continue  # gc took it since it was listed
        except IntegrityError as error:
            damaged(error)
        except StoppedError:
            return


def remake_blob(
    house: Keeper,
    digest: Digest,
    profile: Profile,
    progress: Callable[[int], None] | None = None,
) -> Optimized:
    """Remake one blob; revisions and digests do not change.

    Raises:
        BlobNotFoundError: the store does not hold it.
        IntegrityError: what the store holds does not match the digest.
        StoppedError: `progress` raised it; parts that were remade stay so.
    """
    layout, likely = layout_of(house, digest), likely_to_be_made_from(house, digest)
    return house.store.remake(digest, layout, progress, profile, likely)
