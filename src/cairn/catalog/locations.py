"""Where a blob is to be found: the repos, revisions and paths that hold it."""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from cairn.catalog.database import Database
from cairn.catalog.records import Location
from cairn.catalog.schema import commits, repo_blobs, repos
from cairn.catalog.tree_store import TreeStore
from cairn.domain import Digest, RepoId, RepoType


class Locations:
    """Looks through histories; each tree is read once, however many commits share it."""

    def __init__(self, database: Database, trees: TreeStore) -> None:
        self._database = database
        self._trees = trees

    def of(self, digests: Iterable[Digest]) -> dict[Digest, tuple[Location, ...]]:
        """For each blob, in every repo that holds it, its paths in the newest such commit.

        Takes as long as reading the histories of those repos: for a few blobs, to name damage.
        """
        wanted = {digest.raw: digest for digest in digests}
        found: dict[Digest, list[Location]] = {digest: [] for digest in wanted.values()}
        with self._database.read() as connection:
            for uid, held in sorted(_repos_with(connection, wanted).items()):
                for raw, location in self._in_repo(connection, uid, held):
                    found[wanted[raw]].append(location)
        return {digest: tuple(places) for digest, places in found.items()}

    def sizes(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """Plain bytes of those of these blobs that a revision holds."""
        found: dict[Digest, int] = {}
        with self._database.read() as connection:
            for digest in digests:
                query = select(repo_blobs.c.size_bytes).where(repo_blobs.c.digest == digest.raw)
                size = connection.execute(query.limit(1)).scalar()
                if size is not None:
                    found[digest] = size
        return found

    def _in_repo(
        self, connection: Connection, uid: str, wanted: set[bytes]
    ) -> Iterator[tuple[bytes, Location]]:
        named = select(repos.c.type, repos.c.namespace, repos.c.name).where(repos.c.uid == uid)
        row = connection.execute(named).one()
        repo = RepoId(RepoType(row.type), row.namespace, row.name)
        newest_first = (
            select(commits.c.id, commits.c.tree)
            .where(commits.c.repo == uid)
            .order_by(commits.c.generation.desc(), commits.c.id)
        )
        missing, seen = set(wanted), set[bytes]()
        for commit, tree in connection.execute(newest_first):
            if not missing:
                return
            here = list(self._files(connection, bytes(tree), missing, seen))
            missing -= {raw for raw, _ in here}
            yield from ((raw, Location(repo, commit, path)) for raw, path in here)

    def _files(
        self, connection: Connection, tree: bytes, wanted: set[bytes], seen: set[bytes]
    ) -> Iterator[tuple[bytes, str]]:
        """Digest and path of the wanted files in directories that were not seen before."""
        waiting = [("", tree)]
        while waiting:
            prefix, key = waiting.pop()
            if key in seen:
                continue
            seen.add(key)
            for item in self._trees.load(key, connection).items():
                path = prefix + item.name.decode()
                if item.is_directory:
                    waiting.append((f"{path}/", item.content))
                elif item.content in wanted:
                    yield item.content, path


def _repos_with(connection: Connection, wanted: Iterable[bytes]) -> dict[str, set[bytes]]:
    """Which of these blobs each repo holds in any revision."""
    held: dict[str, set[bytes]] = {}
    for raw in wanted:
        query = select(repo_blobs.c.repo).where(repo_blobs.c.digest == raw)
        for (uid,) in connection.execute(query):
            held.setdefault(uid, set()).add(raw)
    return held
