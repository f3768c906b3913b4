"""The commit transaction: trees, commit, blobs and ref appear together or not at all.

The new trees are computed on the side from the head as it is; the transaction then locks
the repo and looks again. If the head moved meanwhile and the caller named no parent, the
trees are computed anew under the lock: so commits to one branch line up and none is lost,
while the lock is usually held for a few inserts only.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, insert, update

from cairn.catalog import gitobjects, log_waiting, refs
from cairn.catalog.blob_scans import scanned_name
from cairn.catalog.changes import Change, PutFile
from cairn.catalog.commits import commit_query, pack_changes, revision_of
from cairn.catalog.database import Database, insert_all_new, insert_if_new, storable
from cairn.catalog.schema import commits, repo_blobs, repos, trees, unscanned_names
from cairn.catalog.schema import refs as refs_table
from cairn.catalog.tree_edit import Edited, edit
from cairn.catalog.tree_store import TreeStore
from cairn.catalog.trees import NewTree
from cairn.domain import Account, Revision
from cairn.errors import (
    ConflictError,
    NamingError,
    RequestError,
    RevisionNotFoundError,
    StaleParentError,
)

_PARENT = re.compile(r"[0-9a-f]{5,40}\Z")
MAX_TITLE_LENGTH = 1000
MAX_DESCRIPTION_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class NewCommit:
    """What a commit adds to its parent and says of itself, checked for form.

    `identity` is what git writes as its author, `author` the name of the account.
    """

    changes: Sequence[Change]
    author: str
    identity: str
    title: str
    description: str
    when: datetime

    def __post_init__(self) -> None:
        if len(self.title) > MAX_TITLE_LENGTH or len(self.description) > MAX_DESCRIPTION_LENGTH:
            raise RequestError(
                f"a commit title has at most {MAX_TITLE_LENGTH} characters and its"
                f" description {MAX_DESCRIPTION_LENGTH}"
            )
        if not storable(self.title) or not storable(self.description):
            raise RequestError("a commit message cannot hold NUL characters or lone surrogates")

    @property
    def message(self) -> str:
        """Title and description as git joins them."""
        return gitobjects.commit_message(self.title, self.description)


@dataclass(frozen=True, slots=True)
class Proposal(NewCommit):
    """A commit that a caller wants on a branch."""

    uid: str
    branch: str
    expected_parent: str | None

    def __post_init__(self) -> None:
        NewCommit.__post_init__(self)  # super() does not find its way in a class with slots
        refs.check_full_name(self.branch)
        if self.branch.startswith("refs/tags/"):
            raise NamingError(f"{self.branch} is a tag; commits go to branches")
        if self.expected_parent is not None and not _PARENT.match(self.expected_parent):
            raise RequestError(
                f"parent {self.expected_parent[:80]!r} is not 5 to 40 hex digits of a commit id"
            )


def proposal(
    uid: str,
    branch: str,
    changes: Sequence[Change],
    *,
    expected_parent: str | None,
    author: Account,
    title: str,
    description: str,
    when: datetime,
) -> Proposal:
    """Check and complete what `History.commit` was given."""
    if when.tzinfo is None:
        raise RequestError("the time of a commit needs a time zone")
    email = author.email or f"{author.name}@users.noreply.invalid"
    return Proposal(
        uid=uid,
        branch=branch,
        changes=changes,
        expected_parent=expected_parent,
        author=author.name,
        identity=gitobjects.identity(author.full_name or author.name, email),
        title=title,
        description=description,
        when=when.astimezone(UTC).replace(microsecond=0),  # git keeps whole seconds
    )


class Committing:
    """Carries proposals out."""

    def __init__(self, database: Database, store: TreeStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    def carry_out(self, wanted: Proposal) -> Revision:
        """Commit; see `History.commit`."""
        with self._database.read() as connection:
            seen = _head(connection, wanted)
            edited = self._edit(connection, wanted, seen)
        with self._database.write() as connection:
            head = _head(connection, wanted, lock=True)
            if _id(head) != _id(seen):
                edited = self._edit(connection, wanted, head)
            if head is not None and head.tree == edited.root.key:
                return revision_of(head)
            made = write_commit(connection, wanted.uid, wanted, head, edited)
            _move_ref(connection, wanted, _id(head), made.id)
            log_waiting.ref_moved(
                connection,
                wanted.uid,
                wanted.branch,
                _id(head),
                made.id,
                actor=wanted.author,
                at=self._clock(),
            )
            return made

    def _edit(self, connection: Connection, wanted: Proposal, head: Row[Any] | None) -> Edited:
        load = partial(self._store.load, connection=connection)
        return edit(load, None if head is None else head.tree, wanted.changes)


def _id(head: Row[Any] | None) -> str | None:
    return None if head is None else head.id


def _head(connection: Connection, wanted: Proposal, *, lock: bool = False) -> Row[Any] | None:
    """The commit the branch is at; None if the proposal makes the default branch's first one.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: there is no such repo or branch.
        StaleParentError: the branch is not where the caller believed.
    """
    repo = refs.repo_row(connection, wanted.uid, lock=lock)
    head = connection.execute(
        commit_query()
        .join(
            refs_table,
            (refs_table.c.repo == commits.c.repo) & (refs_table.c.commit == commits.c.id),
        )
        .where(refs_table.c.repo == wanted.uid, refs_table.c.name == wanted.branch)
    ).one_or_none()
    if head is None and wanted.branch != f"refs/heads/{repo.default_branch}":
        raise RevisionNotFoundError(f"there is no {wanted.branch}; create it first")
    at = _id(head)
    if wanted.expected_parent is not None and not (at or "").startswith(wanted.expected_parent):
        raise StaleParentError(
            f"{wanted.branch} is at {at or 'no commit yet'}, not at {wanted.expected_parent}:"
            " someone else committed; fetch and try again"
        )
    return head


def write_commit(
    connection: Connection, uid: str, wanted: NewCommit, head: Row[Any] | None, edited: Edited
) -> Revision:
    """Add a commit on top of `head`, with its trees; no ref moves.

    Raises:
        ConflictError: there is a commit of that id with other content.
    """
    parents = () if head is None else (head.id,)
    root = edited.root
    revision = Revision(
        id=gitobjects.commit_oid(
            root.oid.hex(), parents, wanted.identity, wanted.when, wanted.message
        ),
        tree=root.key.hex(),
        parents=parents,
        title=wanted.title,
        description=wanted.description,
        author=wanted.author,
        created_at=wanted.when,
    )
    _insert_trees(connection, edited.trees)
    _insert_commit(connection, uid, wanted, head, edited, revision)
    _insert_blobs(connection, uid, wanted.changes)
    return revision


def _insert_trees(connection: Connection, packed: Sequence[NewTree]) -> None:
    distinct = {tree.key: tree for tree in packed}
    rows = [{"key": key, "payload": distinct[key].payload} for key in sorted(distinct)]
    insert_all_new(connection, trees, rows)


def _insert_commit(
    connection: Connection,
    uid: str,
    wanted: NewCommit,
    head: Row[Any] | None,
    edited: Edited,
    revision: Revision,
) -> None:
    row = {
        "repo": uid,
        "id": revision.id,
        "tree": edited.root.key,
        "parent": _id(head),
        "generation": 1 if head is None else head.generation + 1,
        "author": wanted.author,
        "identity": wanted.identity,
        "created_at": wanted.when,
        "title": wanted.title,
        "description": wanted.description,
        "changed": pack_changes(edited.changed),
    }
    if insert_if_new(connection, commits, row):
        return
    # The same change made twice in one second on two branches is one commit, as in git.
    same = commit_query().where(commits.c.repo == uid, commits.c.id == revision.id)
    if connection.execute(same).one().tree != edited.root.key:
        raise ConflictError(f"commit {revision.id} exists with other content; commit again")


def _insert_blobs(connection: Connection, uid: str, changes: Sequence[Change]) -> None:
    sizes = {
        change.blob.digest.raw: change.blob.size_bytes
        for change in changes
        if isinstance(change, PutFile)
    }
    rows = [
        {"repo": uid, "digest": digest, "size_bytes": sizes[digest]} for digest in sorted(sizes)
    ]
    insert_all_new(connection, repo_blobs, rows)
    named = {
        (change.blob.digest.raw, scanned_name(change.path))
        for change in changes
        if isinstance(change, PutFile)
    }
    names = [{"digest": digest, "name": name} for digest, name in sorted(named)]
    insert_all_new(connection, unscanned_names, names)


def _move_ref(connection: Connection, wanted: Proposal, old: str | None, new: str) -> None:
    """Compare and swap, and let the repo know if its default branch moved."""
    ref = {"repo": wanted.uid, "name": wanted.branch}
    if old is None:
        refs.refuse_clash(connection, wanted.uid, wanted.branch)
        connection.execute(insert(refs_table), ref | {"commit": new})
    else:
        moved = update(refs_table).filter_by(**ref, commit=old).values(commit=new)
        if connection.execute(moved).rowcount != 1:
            raise StaleParentError(f"{wanted.branch} moved; fetch and try again")
    note_move(connection, wanted.uid, wanted.branch, new, wanted.when)


def note_move(connection: Connection, uid: str, branch: str, new: str, when: datetime) -> None:
    """Let the repo know where a branch is now, if it is its default branch."""
    connection.execute(
        update(repos)
        .where(repos.c.uid == uid, "refs/heads/" + repos.c.default_branch == branch)
        .values(head=new, updated_at=when, describe_due=True)
    )
