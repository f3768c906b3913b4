"""Repos of a hub, with their histories and settings, as one family file; and back.

Who may log in, tokens and counts of downloads stay where they are; authors come along as text.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from cairn.catalog import Arrival, DraftedHistory, PastCommit, PutFile, gitobjects
from cairn.domain import Blob, Digest, RepoId
from cairn.errors import NotFoundError, RequestError
from cairn.store import FamilyContents, FamilyFile, Imported
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.listing import all_repos
from cairn.workflows.past_attachments import attach_past, encode_attachments, read_attachments
from cairn.workflows.past_lines import (
    blaming,
    encode_history,
    encode_repo,
    read_history,
    read_repos,
    repo_key,
)
from cairn.workflows.stocktaking import families

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Departure:
    """What leaves with some repos: members of a family file, and all blobs of their histories."""

    members: tuple[tuple[str, bytes], ...]
    blobs: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Listed:
    """A repo in a family file, and how many commits it has."""

    arrival: Arrival
    commits: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A repo that was taken in, and how many commits of it are new here.

    `left_out` says which attachments do not hold for its files, and why.
    """

    id: RepoId
    new_commits: int
    left_out: tuple[str, ...] = ()


def with_families(house: House, repo_ids: Sequence[RepoId]) -> list[RepoId]:
    """These repos and all that cards connect to them by `base_model`.

    Raises:
        RepoNotFoundError: one is not here.
    """
    records = {str(record.id): record for record in all_repos(house)}
    wanted = {str(house.catalog.repos.get(repo_id).id) for repo_id in repo_ids}
    for names in families(records.values()).values():
        if not wanted.isdisjoint(names):
            wanted.update(names)
    return [records[name].id for name in sorted(wanted)]


def describe_departure(house: House, repo_ids: Sequence[RepoId]) -> Departure:
    """Everything the catalog knows of the commits of these repos; takes their text in memory.

    Raises:
        RepoNotFoundError: one is not here.
    """
    members: list[tuple[str, bytes]] = []
    blobs: set[Digest] = set()

    def noted(past: Iterator[PastCommit]) -> Iterator[PastCommit]:
        for commit in past:
            blobs.update(c.blob.digest for c in commit.changes if isinstance(c, PutFile))
            yield commit

    for number, repo_id in enumerate(repo_ids):
        record = house.catalog.repos.get(repo_id)
        # First, so that no ref is at a commit that is read no more.
        refs = tuple(house.catalog.history.refs(record.uid))
        settings = record.gated, record.sdk, record.safetensors_views
        members.append(encode_repo(number, Arrival(record.id, record.private, *settings, refs)))
        members += encode_history(number, noted(house.catalog.past_commits.of(record.uid)))
        members += encode_attachments(house, number, record.uid)
    return Departure(tuple(members), frozenset(blobs))


def import_repos(
    house: House, family: FamilyContents, *, into: str | None = None, progress: Progress
) -> tuple[Imported, list[Arrived]]:
    """Take in blobs, then repos, each of them whole or not at all; all are tried beforehand.

    `into` is the namespace that they get; None: the one they had. Of a repo that is here what is
    missing is added, and branches move forward.

    Raises:
        RequestError: the file holds no repos, or two would have one name.
        NotFoundError: there is no such user or organisation.
        ConflictError: a branch or tag went another way here.
        UntrustedDataError: the file is not what it says.
    """
    arrivals = [_moved(arrival, into) for arrival in check_histories(family)]
    _check_names(house, family, arrivals)
    with ExitStack() as drafts:
        histories = []
        for number, arrival in enumerate(arrivals):
            with blaming(family.file, repo_key(number)):
                past = read_history(family.file, number)
                drafted = house.catalog.arrivals.drafted(arrival, past)
                histories.append(drafts.enter_context(drafted))
        with house.store.importing(family, progress) as done:
            both = enumerate(zip(arrivals, histories, strict=True))
            return done, [_take(house, family, n, arrival, h) for n, (arrival, h) in both]


def _moved(arrival: Arrival, into: str | None) -> Arrival:
    repo_id = arrival.id
    return replace(arrival, id=RepoId(repo_id.type, into or repo_id.namespace, repo_id.name))


def _check_names(house: House, family: FamilyContents, arrivals: Sequence[Arrival]) -> None:
    if not arrivals:
        raise RequestError(f"{family.file.source.name} holds no repos")
    names = {str(arrival.id).lower() for arrival in arrivals}
    if len(names) != len(arrivals):
        raise RequestError("two repos of the file would have one name: import without --into")
    for namespace in sorted({arrival.id.namespace for arrival in arrivals}):
        try:
            house.catalog.accounts.get(namespace)
        except NotFoundError:
            raise NotFoundError(
                f"there is no user or organisation {namespace}: add it with `cairn org add`,"
                " or choose one with --into"
            ) from None


def check_histories(family: FamilyContents) -> list[Arrival]:
    """The repos of a file, when the files of their histories were found to be in it.

    Raises:
        UntrustedDataError: one is not, or a repo is not described as it should be.
    """
    arrivals = read_repos(family.file)
    for number in range(len(arrivals)):
        _check_files(family, number)
        for _ in read_attachments(family.file, number):
            pass  # it reads them all, or raises
    return arrivals


def list_repos(file: FamilyFile) -> list[Listed]:
    """The repos of a file as it describes them.

    Raises:
        UntrustedDataError: one is not described as it should be.
    """
    return [
        Listed(arrival, sum(1 for _ in read_history(file, number)))
        for number, arrival in enumerate(read_repos(file))
    ]


def _check_files(family: FamilyContents, number: int) -> None:
    """Whether the files of a history are in the family file, and have the ids git gives them.

    Clients take these ids for what they have cached: one that belongs to other bytes would be
    served from their caches.
    """
    blobs, known = set(family.blobs), dict[Digest, str]()
    for commit in read_history(family.file, number):
        for change in commit.changes:
            if not isinstance(change, PutFile):
                continue
            digest, place = change.blob.digest, f"{change.path[:200]!r} of commit {commit.id}"
            if change.blob not in blobs:
                raise family.file.malformed(f"{place} is not in the file", repo_key(number))
            if not change.lfs and digest not in known:
                known[digest] = _git_id(family, change.blob)
            if not change.lfs and known[digest] != change.oid:
                raise family.file.malformed(f"{place} is not {change.oid}", repo_key(number))


def _git_id(family: FamilyContents, blob: Blob) -> str:
    found = gitobjects.blob_oid(blob.size_bytes)
    with family.open(blob) as reader:
        for block in reader.stream():
            found.update(block)
    return found.hexdigest()


def _take(
    house: House, family: FamilyContents, number: int, arrival: Arrival, history: DraftedHistory
) -> Arrived:
    with blaming(family.file, repo_key(number)):
        uid, added = house.catalog.arrivals.take(arrival, history)
    record = house.catalog.repos.get_by_uid(uid)
    if record.head is not None:
        sync_card(house, record)
    tried = (attach_past(house, record, one) for one in read_attachments(family.file, number))
    return Arrived(record.id, added, tuple(filter(None, tried)))
