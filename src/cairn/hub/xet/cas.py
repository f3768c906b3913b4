"""What the Xet endpoints do, below HTTP: take in xorbs and shards, say what is known.

Everything is verified here before anything is kept: a xorb against its name, a shard
against the xorbs it may name, each file against its SHA-256. A file then is an ordinary blob
of the store, and this repo's proof of possession for a commit.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import structlog

from cairn.catalog import ChunkRun, RepoRecord
from cairn.domain import Actor
from cairn.errors import IntegrityError, NotFoundError, RepoNotFoundError
from cairn.hub.xet import scopes, shard, verification, xorb
from cairn.hub.xet.hashing import from_text
from cairn.hub.xet.known import Known
from cairn.hub.xet.materialise import Inflight, Progress, materialise
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.staged import NotStagedError, Staged, StagedFile
from cairn.hub.xet.tokens import Access, Grant
from cairn.hub.xet.verification import FilePlan
from cairn.hub.xet.xorbs import StagedOrKnown, Xorbs
from cairn.workflows.access import named_reader, still_openable
from cairn.workflows.house import House
from cairn.workflows.lineage import origins
from cairn.workflows.quotas import Announced, check_announced
from cairn.workflows.upload import spared

log = structlog.get_logger("cairn.xet")


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

    @cached_property
    def known(self) -> Known:
        """What the caller may build on besides what was sent in this scope."""
        trusting = scopes.trusts_blobs(self.scope, self.house.store.staging)
        return Known(self.house, self.reader if trusting else None)

    @cached_property
    def reader(self) -> Actor:
        """The caller, with the rights they have now."""
        only = self.grant.repo_id if self.grant.is_narrow else None
        return named_reader(self.house, self.grant.actor, only)

    def check_reader(self) -> None:
        """Refuse whoever may not read the repo's files any more.

        Raises:
            RepoNotFoundError, GatedError: see `access.openable`.
        """
        grant = self.grant
        still_openable(self.house, grant.actor, grant.repo_uid, narrow=grant.is_narrow)

    @cached_property
    def xorbs(self) -> Xorbs:
        """Every xorb that the caller may name here."""
        return StagedOrKnown(self.staged, self.known)

    def runs_with(self, chunk: str) -> list[ChunkRun]:
        """Chunks that the caller need not send, this one among them; none if it is unknown.

        Raises:
            RepoNotFoundError: the repo was deleted since the token was issued.
            MalformedError: `chunk` is not the text of a hash.
        """
        _still_there(self.house, self.grant)
        return self.known.runs_with(from_text(chunk))

    def likely_runs(self) -> list[ChunkRun]:
        """Chunks that the caller need not send if this upload is like those before it.

        Raises:
            RepoNotFoundError: the repo was deleted since the token was issued.
        """
        record = _still_there(self.house, self.grant)
        found = origins(self.house, self.reader, record)
        return self.known.runs_from([origin.uid for origin in found])

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
            QuotaError: the namespace has no room for the files.
        """
        _still_there(self.house, self.grant)
        parsed = shard.parse(body)
        with self._renewing():
            plans = verification.verify(parsed, self.xorbs, self.max_file_bytes)
        files = [Announced(plan.size_bytes, plan.sha256) for plan in plans]
        check_announced(self.house, self.grant.repo_id.namespace, files)
        return plans

    def add_files(self, plans: tuple[FilePlan, ...], progress: Progress = lambda _: None) -> bool:
        """Make verified files durable blobs; returns whether any was new.

        Raises:
            IntegrityError: the bytes of a file have another SHA-256 than claimed.
            NotStagedError: staged data has gone in the meantime.
        """
        with self._renewing(), closing(self.known):
            rest = [plan for plan in plans if not self._is_kept(plan, progress)]
            written = materialise(
                self.house,
                self.grant.repo_uid,
                self.staged,
                self.xorbs,
                rest,
                self.inflight,
                progress,
            )
        plain_bytes = sum(plan.size_bytes for plan in plans)
        kept_bytes = plain_bytes - sum(plan.size_bytes for plan in rest)
        log.info(
            "xet upload",
            repo=self.grant.repo_id.full_name,
            files=len(plans),
            plain_bytes=plain_bytes,
            known_bytes=kept_bytes + self.known.read_bytes,
        )
        return written

    def _is_kept(self, plan: FilePlan, progress: Progress) -> bool:
        """Whether a file is a blob that the caller may read; this repo may use it from then on."""
        digest = plan.sha256
        if digest is None or not self.known.holds_file(digest, plan.name):
            return False
        if spared(self.house, self.reader, _still_there(self.house, self.grant), digest) is None:
            return False
        progress(plan.size_bytes)
        return True

    def file(self, name: str) -> StagedFile:
        """A file that was uploaded in this scope.

        Raises:
            NotFoundError: there is none, it is partly made of blobs that were here before, or
                the caller may only read what is committed and it is not.
        """
        file = self.staged.file(from_text(name))
        uid, digest = self.grant.repo_uid, file.blob.digest
        if self.grant.access is Access.READ and not self.house.catalog.history.references(
            uid, digest
        ):
            raise NotFoundError(f"no file {name} in this repo")
        if not all(map(self.staged.has_xorb, {term.xorb for term in file.terms})):
            raise NotFoundError(f"not all of file {name} is staged; download it by plain HTTP")
        return file

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        """Make the client forget what it believes it need not send, when that cannot be right."""
        staging = self.house.store.staging
        try:
            yield
        except (NotStagedError, IntegrityError) as error:
            if isinstance(error, IntegrityError):
                # Other blobs may share the damaged bytes: the next upload must not meet them.
                scopes.distrust_blobs(self.scope, staging)
            scopes.renew(self.scope, staging)
            raise


def _still_there(house: House, grant: Grant) -> RepoRecord:
    """The repo; uploads into one that was deleted or made anew since the token are refused."""
    record = house.catalog.repos.get(grant.repo_id)
    if record.uid != grant.repo_uid:
        raise RepoNotFoundError(f"the repo {grant.repo_id} this upload began for is gone")
    return record
