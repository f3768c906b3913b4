"""What the Xet endpoints do, below HTTP: take in xorbs and shards, answer reconstructions.

Everything is verified here before anything is kept: a xorb against its name, a shard
against the staged xorbs, each file against its SHA-256. A file then is an ordinary blob of
the store, and this repo's proof of possession for a commit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cairn.errors import IntegrityError, NotFoundError, RepoNotFoundError
from cairn.hub.xet import scopes, shard, verification, xorb
from cairn.hub.xet.hashing import from_text
from cairn.hub.xet.materialise import Inflight, Progress, materialise
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.staged import NotStagedError, Staged, StagedFile
from cairn.hub.xet.tokens import Access, Grant
from cairn.hub.xet.verification import FilePlan
from cairn.workflows.house import House


@dataclass(frozen=True)
class Cas:
    """The staged data of one repo in one scope, for one caller."""

    house: House
    scope: Scope
    grant: Grant
    max_file_bytes: int
    inflight: Inflight
    staged: Staged = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "staged", Staged(self.house.store.staging, self.scope))

    def has_xorb(self, name: str) -> bool:
        """Whether this xorb was uploaded before.

        Raises:
            MalformedError: `name` is not the text of a hash.
        """
        return self.staged.has_xorb(from_text(name))

    def add_xorb(self, name: str, body: memoryview) -> None:
        """Verify a xorb and keep it; raises what `xorb.verify` does."""
        table, chunk_bytes = xorb.verify(body, from_text(name))
        self.staged.put_xorb(table, body[:chunk_bytes])

    def check_shard(self, body: memoryview) -> tuple[FilePlan, ...]:
        """The files of a shard, all hashes but SHA-256 verified.

        Raises:
            RepoNotFoundError: the repo was deleted since the token was issued.
            MalformedError, LimitError: see `shard.parse` and `verification.verify`.
        """
        _check_still_there(self.house, self.grant)
        parsed = shard.parse(body)
        with self._renewing():
            return verification.verify(parsed, self.staged, self.max_file_bytes)

    def add_files(self, plans: tuple[FilePlan, ...], progress: Progress = lambda _: None) -> bool:
        """Make verified files durable blobs; returns whether any was new.

        Raises:
            IntegrityError: the bytes of a file have another SHA-256 than claimed.
            NotStagedError: staged data has gone in the meantime.
        """
        with self._renewing():
            return materialise(
                self.house, self.grant.repo_uid, self.staged, plans, self.inflight, progress
            )

    def file(self, name: str) -> StagedFile:
        """A file that was uploaded in this scope.

        Raises:
            NotFoundError: there is none, or the caller may only read what is committed and
                it is not.
        """
        file = self.staged.file(from_text(name))
        uid, digest = self.grant.repo_uid, file.blob.digest
        if self.grant.access is Access.READ and not self.house.catalog.history.references(
            uid, digest
        ):
            raise NotFoundError(f"no file {name} in this repo")
        return file

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        """Make the client forget what it believes is staged, when that cannot be right."""
        try:
            yield
        except (NotStagedError, IntegrityError):
            scopes.renew(self.scope, self.house.store.staging)
            raise


def _check_still_there(house: House, grant: Grant) -> None:
    """Refuse uploads into a repo that was deleted, or made anew, since the token was issued."""
    if house.catalog.repos.get(grant.repo_id).uid != grant.repo_uid:
        raise RepoNotFoundError(f"the repo {grant.repo_id} this upload began for is gone")
