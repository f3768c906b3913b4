"""Ways to make repos and commits, shared by the catalog's tests and their subprocesses."""

import hashlib
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cairn.catalog import Catalog, PutFile, RepoRecord, gitobjects
from cairn.domain import Account, Blob, Digest, RepoId, RepoType, Revision

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAIN = "refs/heads/main"


def blob(data: bytes) -> Blob:
    return Blob(Digest.sha256(hashlib.sha256(data).hexdigest()), len(data))


def put(path: str, data: bytes = b"") -> PutFile:
    return PutFile.regular(path, blob(data), gitobjects.blob_oid_of(data))


def put_large(path: str, data: bytes) -> PutFile:
    return PutFile.large(path, blob(data))


def model(name: str = "ada/model") -> RepoId:
    return RepoId.parse(RepoType.MODEL, name)


def new_repo(catalog: Catalog, name: str = "ada/model", *, private: bool = False) -> RepoRecord:
    repo_id = model(name)
    if repo_id.namespace not in {account.name for account in catalog.accounts.list_accounts()}:
        catalog.accounts.create_user(repo_id.namespace)
    return catalog.repos.create(repo_id, private=private)


def commit(
    catalog: Catalog,
    repo: RepoRecord,
    *changes,
    title: str = "Change",
    branch: str = MAIN,
    parent: str | None = None,
    when: datetime = WHEN,
) -> Revision:
    return catalog.history.commit(
        repo.uid,
        branch,
        changes,
        expected_parent=parent,
        author=Account("ada", "Ada Lovelace"),
        title=title,
        when=when,
    )


def paths(catalog: Catalog, revision: Revision) -> list[str]:
    return list(catalog.history.manifest(revision.tree).entries)


class Git:
    """The real git, in a repository of its own, deaf to the user's configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self("init", "-q", "--bare", ".")

    def __call__(self, *arguments: str, stdin: bytes = b"", **variables: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **variables,
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env=environment,
            input=stdin,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def blob(self, data: bytes) -> str:
        return self("hash-object", "-w", "--stdin", stdin=data)

    def tree(self, files: dict[str, bytes]) -> str:
        """The id of the tree with these files, made by git's index alone."""
        index = str(self._folder / "index-for-tree")
        Path(index).unlink(missing_ok=True)
        lines = b"".join(
            b"100644 %s\t%s\x00" % (self.blob(data).encode(), path.encode())
            for path, data in files.items()
        )
        self("update-index", "-z", "--add", "--index-info", stdin=lines, GIT_INDEX_FILE=index)
        return self("write-tree", GIT_INDEX_FILE=index)
