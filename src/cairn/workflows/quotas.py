"""Who may keep how much: asked before bytes are sent, when they have arrived, and at a commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.domain import NO_QUOTA, Blob, Digest, Measure, Quota
from cairn.errors import QuotaError
from cairn.workflows.house import House


@dataclass(frozen=True, slots=True)
class Announced:
    """A file somebody wants to send; `digest` is None where only its size is known."""

    size_bytes: int
    digest: Digest | None = None


def quota_of(house: House, namespace: str) -> Quota:
    """What holds for a namespace: its own limits, and the hub's default for the rest."""
    own = house.catalog.quotas.own(namespace)
    default = house.default_quota
    return Quota(
        own.get(Measure.LOGICAL, default.logical_bytes),
        own.get(Measure.STORED, default.stored_bytes),
    )


def check_announced(house: House, namespace: str, files: Sequence[Announced]) -> None:
    """Refuse files that a namespace has no room for, before they are sent.

    A file of which only the size is known counts where no file of the namespace has that size:
    what is here already is never refused. Files that were sent lately count as here.

    Raises:
        QuotaError: there is no room.
    """
    quota = quota_of(house, namespace)
    if quota == NO_QUOTA:
        return
    known = {file.digest: file.size_bytes for file in files if file.digest is not None}
    new = house.catalog.quotas.not_received(namespace, known)
    sizes = {file.size_bytes for file in files if file.digest is None} - set(known.values())
    unknown = house.catalog.quotas.unknown_sizes(namespace, sizes)
    used = house.catalog.quotas.usage(namespace).logical_bytes
    _check(house, namespace, quota, used, sum(known[digest] for digest in new) + sum(unknown))


def check_committed(house: House, namespace: str, blobs: Iterable[Blob]) -> None:
    """Refuse a commit whose blobs make more than a namespace may have, all revisions together.

    Raises:
        QuotaError: there is no room.
    """
    quota = quota_of(house, namespace)
    if quota == NO_QUOTA:
        return
    sizes = {blob.digest: blob.size_bytes for blob in blobs}
    new = house.catalog.quotas.not_committed(namespace, sizes)
    used = house.catalog.quotas.committed_bytes(namespace)
    _check(house, namespace, quota, used, sum(sizes[digest] for digest in new))


def _check(house: House, namespace: str, quota: Quota, used: int, new: int) -> None:
    if not new:
        return
    limit = quota.logical_bytes
    if limit is not None and used + new > limit:
        raise QuotaError(
            f"{namespace} may keep {limit:,} bytes and has {used:,}; this would add {new:,}."
            " Delete repos that are not needed, or ask an administrator of this hub for more room"
        )
    stored = quota.stored_bytes
    if stored is not None:
        taken = house.catalog.quotas.usage(namespace).stored_bytes
        if taken is not None and taken >= stored:
            raise QuotaError(
                f"{namespace} may take {stored:,} bytes on disk and took {taken:,} when they were"
                " counted last. Delete repos that are not needed, or ask an administrator of this"
                " hub for more room"
            )
