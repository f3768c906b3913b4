"""Every revision and path that holds a blob, in every repo, with the refs that lead there."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from cairn.catalog.database import Database
from cairn.catalog.schema import commits, refs, repo_blobs, repos
from cairn.catalog.tree_store import TreeStore
from cairn.domain import Digest, RepoId, RepoType

Paths = dict[bytes, tuple[str, ...]]
"""The paths of each wanted digest below a directory."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A path of a repo that holds a blob: in which commits, newest first, and by which refs."""

    repo: RepoId
    path: str
    revisions: tuple[str, ...]
    refs: tuple[str, ...]


class Holdings:
    """Looks through whole histories; each directory is read once, however many commits share it."""

    def __init__(self, database: Database, trees: TreeStore) -> None:
        self._database = database
        self._trees = trees

    def of(self, digests: Iterable[Digest]) -> dict[Digest, tuple[Holding, ...]]:
        """For each blob all that holds it, by repo and path.

        Takes as long as reading the histories of those repos: for blobs that are recalled.
        """
        wanted = {digest.raw: digest for digest in digests}
        found: dict[Digest, list[Holding]] = {digest: [] for digest in wanted.values()}
        with self._database.read() as connection:
            for uid, held in _repos_with(connection, wanted).items():
                repo = _repo_id(connection, uid)
                for raw, holdings in self._in_repo(connection, uid, repo, held).items():
                    found[wanted[raw]] += holdings
        return {
            digest: tuple(sorted(each, key=lambda one: (str(one.repo), one.path)))
            for digest, each in found.items()
        }

    def _in_repo(
        self, connection: Connection, uid: str, repo: RepoId, wanted: frozenset[bytes]
    ) -> dict[bytes, list[Holding]]:
        named: dict[str, list[str]] = {}
        for row in connection.execute(select(refs).where(refs.c.repo == uid)):
            named.setdefault(row.commit, []).append(row.name)
        newest_first = (
            select(commits.c.id, commits.c.tree)
            .where(commits.c.repo == uid)
            .order_by(commits.c.generation.desc(), commits.c.id)
        )
        seen: dict[bytes, Paths] = {}
        places: dict[tuple[bytes, str], list[str]] = {}
        for commit, tree in connection.execute(newest_first).all():
            for raw, paths in self._below(connection, bytes(tree), wanted, seen).items():
                for path in paths:
                    places.setdefault((raw, path), []).append(commit)
        found: dict[bytes, list[Holding]] = {}
        for (raw, path), revisions in places.items():
            leading = sorted(name for one in revisions for name in named.get(one, ()))
            holding = Holding(repo, path, tuple(revisions), tuple(leading))
            found.setdefault(raw, []).append(holding)
        return found

    def _below(
        self, connection: Connection, key: bytes, wanted: frozenset[bytes], seen: dict[bytes, Paths]
    ) -> Paths:
        """The paths below a directory. As deep as trees are: `tree_edit.MAX_DEPTH`."""
        if key in seen:
            return seen[key]
        found: dict[bytes, tuple[str, ...]] = {}
        for item in self._trees.load(key, connection).items():
            name = item.name.decode()
            if item.is_directory:
                below = self._below(connection, item.content, wanted, seen)
                for raw, paths in below.items():
                    found[raw] = (*found.get(raw, ()), *(f"{name}/{path}" for path in paths))
            elif item.content in wanted:
                found[item.content] = (*found.get(item.content, ()), name)
        seen[key] = found
        return found


def _repos_with(connection: Connection, wanted: Iterable[bytes]) -> dict[str, frozenset[bytes]]:
    """Which of these blobs each repo holds in any revision."""
    held: dict[str, set[bytes]] = {}
    for raw in wanted:
        query = select(repo_blobs.c.repo).where(repo_blobs.c.digest == raw)
        for (uid,) in connection.execute(query):
            held.setdefault(uid, set()).add(raw)
    return {uid: frozenset(found) for uid, found in held.items()}


def _repo_id(connection: Connection, uid: str) -> RepoId:
    named = select(repos.c.type, repos.c.namespace, repos.c.name).where(repos.c.uid == uid)
    row = connection.execute(named).one()
    return RepoId(RepoType(row.type), row.namespace, row.name)
