"""Which blobs a blob was probably made from, by what the catalog knows of the files that it is."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import PurePosixPath

from cairn.catalog import Location, RepoRecord
from cairn.domain import Actor, Digest, Entry, RepoId, RepoType, Revision
from cairn.errors import ForbiddenError, NamingError, NotFoundError
from cairn.workflows.access import openable
from cairn.workflows.cards import base_models
from cairn.workflows.house import House

# Each is one more header to read. A sharded parent has its tensors in many files, cut otherwise.
MAX_LIKELY = 16
# Files of a revision that are looked at.
_MAX_LISTED = 1000
# Repos may hold the same blob; what the first says of its origin holds for the others.
_MAX_PLACES = 2


def likely_bases(house: House, digest: Digest) -> list[Digest]:
    """At most `MAX_LIKELY` blobs, the likeliest first.

    That is what the path held before, the files of the base models that the card names (the same
    path first), and files of the revision that have the same ending (the same name first).
    """
    found: dict[Digest, None] = {}
    for place in house.catalog.history.locations([digest])[digest][:_MAX_PLACES]:
        try:
            for base in _likely(house, place):
                found.setdefault(base)
        except NotFoundError:
            continue  # deleted meanwhile
    found.pop(digest, None)
    return list(islice(found, MAX_LIKELY))


def origins(house: House, actor: Actor, record: RepoRecord) -> list[RepoRecord]:
    """Where new files of a repo probably come from: itself, and base models `actor` may open."""
    found = [record]
    for name in base_models(record):
        with suppress(NamingError, NotFoundError, ForbiddenError):
            found.append(openable(house, actor, RepoId.parse(RepoType.MODEL, name)))
    return found


def _likely(house: House, place: Location) -> Iterator[Digest]:
    record = house.catalog.repos.get(place.repo)
    at = house.catalog.history.resolve(record.uid, place.revision)
    yield from _before(house, record, at, place.path)
    for name in base_models(record):
        try:
            base = house.catalog.repos.get(RepoId.parse(RepoType.MODEL, name))
            head = house.catalog.history.resolve(base.uid, base.default_ref)
        except (NamingError, NotFoundError):
            continue  # not on this hub, or empty
        yield from _alike(house, head, place.path)
    yield from _alike(house, at, place.path)


def _before(house: House, record: RepoRecord, at: Revision, path: str) -> Iterator[Digest]:
    """What the path held before the commit that brought the blob."""
    changed = house.catalog.history.last_changes(record.uid, at.id, [path]).get(path, at)
    for parent in changed.parents[:1]:
        before = house.catalog.history.resolve(record.uid, parent)
        try:
            entry = house.catalog.history.entry(before.tree, path)
        except NotFoundError:
            return
        if isinstance(entry, Entry):
            yield entry.blob.digest


def _alike(house: House, revision: Revision, path: str) -> Iterator[Digest]:
    """Files of a revision that hold the same kind of thing: those most alike by name first."""
    wanted = PurePosixPath(path)

    def rank(entry: Entry) -> tuple[bool, bool, str]:
        other = PurePosixPath(entry.path)
        return entry.path != path, other.name != wanted.name, entry.path

    listed = house.catalog.history.list_tree(revision.tree, recursive=True)
    files = [e for e in islice(listed, _MAX_LISTED) if isinstance(e, Entry)]
    kind = [e for e in files if PurePosixPath(e.path).suffix == wanted.suffix]
    for entry in sorted(kind, key=rank):
        yield entry.blob.digest
