"""What every revision of every repo holds, and how a new one is made.

Ids are real git ids, trees are shared and immutable, commits are only ever added, and a
ref moves by compare-and-swap in the transaction that adds its commit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import select, union

from cairn.catalog.changes import Change
from cairn.catalog.commits import Log
from cairn.catalog.committing import Committing, proposal
from cairn.catalog.database import Database
from cairn.catalog.locations import Locations
from cairn.catalog.records import FileChange, Location
from cairn.catalog.refs import Refs
from cairn.catalog.schema import repo_blobs, repos, uploads
from cairn.catalog.tree_store import TreeStore
from cairn.catalog.visibility import openable_by
from cairn.domain import (
    Account,
    Actor,
    Blob,
    Digest,
    Directory,
    Entry,
    Manifest,
    Ref,
    Revision,
)

_DIGESTS_AT_ONCE = 10_000


class History:
    """Refs, commits and trees of all repos; `uid` is a `RepoRecord.uid`."""

    def __init__(self, database: Database, trees: TreeStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._refs = Refs(database, clock)
        self._log = Log(database)
        self._trees = trees
        self._committing = Committing(database, self._trees, clock)
        self._locations = Locations(database, self._trees)

    def resolve(self, uid: str, revision: str) -> Revision:
        """The commit that a revision text means: branch, tag, full ref, commit id, or `HEAD`.

        A commit id may be cut to seven or more digits if no other commit begins so. A branch
        wins over a tag of the same name, and both over an abbreviated id.

        Raises:
            RevisionNotFoundError: it means none, or more than one.
        """
        return self._refs.resolve(uid, revision)

    def refs(self, uid: str) -> list[Ref]:
        """Every ref of a repo, by name; empty for an unknown repo."""
        return self._refs.list(uid)

    def ref(self, uid: str, name: str) -> Ref:
        """The ref of this full name; RevisionNotFoundError if there is none."""
        return self._refs.get(uid, name)

    def create_ref(self, uid: str, full_name: str, commit: str, *, by: Actor | None = None) -> Ref:
        """Add a ref to a commit of the repo.

        Raises:
            NamingError: the name is not `refs/heads/...`, `refs/tags/...` or `refs/pr/<number>`.
            RepoNotFoundError: there is no such repo.
            RevisionNotFoundError: the repo has no such commit.
            ConflictError: the ref exists, or one is above or below it as a folder would be.
        """
        return self._refs.create(uid, full_name, commit, by)

    def delete_ref(self, uid: str, full_name: str, *, by: Actor | None = None) -> None:
        """Remove a ref; its commits stay reachable by id.

        Raises:
            RepoNotFoundError, RevisionNotFoundError: there is none.
            ForbiddenError: it is the default branch.
        """
        self._refs.delete(uid, full_name, by)

    def commit(
        self,
        uid: str,
        branch: str,
        changes: Sequence[Change],
        *,
        expected_parent: str | None,
        author: Account,
        title: str,
        description: str = "",
        when: datetime,
    ) -> Revision:
        """Apply changes, in their order, on top of a branch; durable on return.

        The default branch comes into being with its first commit; others must exist. A commit
        that changes nothing is not made: the head is returned as it is. Without
        `expected_parent` (5 to 40 digits of a commit id) concurrent commits line up.

        Raises:
            RepoNotFoundError, RevisionNotFoundError: there is no such repo or branch.
            StaleParentError: the branch is not at `expected_parent`.
            EntryNotFoundError: something to delete is not there.
            ConflictError: a file is put where a directory is, or below a file.
            LimitError: paths too deep, or too many directories or entries.
            RequestError: no title, or a text or the parent has a wrong form.
            NamingError: `branch` is not a full branch or pull request name.
        """
        wanted = proposal(
            uid,
            branch,
            changes,
            expected_parent=expected_parent,
            author=author,
            title=title,
            description=description,
            when=when,
        )
        return self._committing.carry_out(wanted)

    def entry(self, tree: str, path: str) -> Entry | Directory:
        """The file or directory at `path` of a `Revision.tree`; EntryNotFoundError if none."""
        return self._trees.entry(tree, path)

    def list_tree(
        self, tree: str, path: str = "", *, recursive: bool = False, after: str | None = None
    ) -> Iterator[Entry | Directory]:
        """What lies in the directory `path` ("" is the root), lazily, in git's order.

        Directories are listed too, each followed by its contents when `recursive`.
        `after` is the path of the last one seen: listing goes on behind it, without a scan.

        Raises:
            EntryNotFoundError: `path` is not a directory.
            RequestError: `after` is not below `path`.
        """
        return self._trees.list_tree(tree, path, recursive=recursive, after=after)

    def manifest(self, tree: str) -> Manifest:
        """Every file, sorted by path."""
        return self._trees.manifest(tree)

    def git_tree_id(self, tree: str) -> str:
        """Git's own id of a `Revision.tree`, as `git rev-parse <commit>^{tree}` shows it."""
        return self._trees.git_id(tree)

    def log(self, uid: str, revision_id: str, limit: int, offset: int = 0) -> list[Revision]:
        """Up to `limit` commits from this one back, newest first, the first `offset` left out.

        Raises:
            RevisionNotFoundError: the repo has no such commit.
        """
        return self._log.log(uid, revision_id, limit, offset)

    def count_commits(self, uid: str, revision_id: str) -> int:
        """Commits from the first to this one; RevisionNotFoundError if the repo lacks it."""
        return self._log.count(uid, revision_id)

    def changes(self, uid: str, revision_id: str) -> list[FileChange]:
        """The files a commit changed, by path; RevisionNotFoundError if the repo lacks it."""
        return self._log.changes(uid, revision_id)

    def last_changes(self, uid: str, revision_id: str, paths: Iterable[str]) -> dict[str, Revision]:
        """For each path, the newest commit up to this one that changed it or a file below it.

        Raises:
            RevisionNotFoundError: the repo has no such commit.
        """
        return self._log.last_changes(uid, revision_id, paths)

    def references(self, uid: str, digest: Digest) -> bool:
        """Whether any revision of the repo, past or present, holds this blob."""
        query = select(repo_blobs.c.size_bytes).where(
            repo_blobs.c.repo == uid, repo_blobs.c.digest == digest.raw
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def readable_blob(self, reader: Actor, digest: Digest) -> Blob | None:
        """The blob, if a revision of any repo whose files `reader` may have holds it."""
        query = (
            select(repo_blobs.c.size_bytes)
            .join(repos, repos.c.uid == repo_blobs.c.repo)
            .where(repo_blobs.c.digest == digest.raw, openable_by(reader))
            .limit(1)
        )
        with self._database.read() as connection:
            size = connection.execute(query).scalar_one_or_none()
        return None if size is None else Blob(digest, size)

    def locations(self, digests: Iterable[Digest]) -> dict[Digest, tuple[Location, ...]]:
        """The files that hold each blob, in every repo those of the newest commit that has it.

        Reads the whole histories of those repos: for a few blobs, to name damage.
        """
        return self._locations.of(digests)

    def sizes(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """Plain bytes of those of these blobs that a revision holds."""
        return self._locations.sizes(digests)

    def digests(self, uid: str) -> list[Digest]:
        """Every blob that a revision of the repo, past or present, holds, in digest order."""
        query = (
            select(repo_blobs.c.digest)
            .where(repo_blobs.c.repo == uid)
            .order_by(repo_blobs.c.digest)
        )
        with self._database.read() as connection:
            return [Digest.sha256(row.digest.hex()) for row in connection.execute(query)]

    def live_digests(self, after: bytes = b"") -> Iterator[Digest]:
        """Every blob that a revision or an unexpired upload needs, each once, in digest order.

        Only those with a SHA-256 behind `after`.
        Read in pages. A blob live from before the first page until after the last is always
        among them: each page looks at uploads and revisions at one instant.
        """
        last = after
        while True:
            page = union(
                *(
                    select(table.c.digest)
                    .where(table.c.digest > last)
                    .distinct()
                    .order_by(table.c.digest)
                    .limit(_DIGESTS_AT_ONCE)
                    .subquery()
                    .select()
                    for table in (uploads, repo_blobs)
                )
            )
            query = page.order_by("digest").limit(_DIGESTS_AT_ONCE)
            with self._database.read() as connection:
                found = [bytes(row.digest) for row in connection.execute(query)]
            yield from (Digest.sha256(digest.hex()) for digest in found)
            if len(found) < _DIGESTS_AT_ONCE:
                return
            last = found[-1]
