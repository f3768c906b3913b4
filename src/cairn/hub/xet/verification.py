"""Whether what a shard claims about files and xorbs is true, as far as hashes can tell.

Every claim is checked against chunk tables that were made from the bytes themselves: each
term lies inside a xorb that may be named here (see `xorbs`), has the size and the range hash
claimed, and the chunks of all terms hash to the file's name. What is left to check is the
SHA-256, which needs the bytes (`materialise`).
"""

from dataclasses import dataclass

import numpy as np

from cairn.domain import Digest
from cairn.errors import LimitError, MalformedError
from cairn.hub.xet.hashing import Tree, file_name, to_text
from cairn.hub.xet.shard import FileClaim, Shard, Term, XorbClaim
from cairn.hub.xet.staged import StagedTerm
from cairn.hub.xet.xorb import ChunkTable
from cairn.hub.xet.xorbs import Xorbs

# Work per shard is bounded by its chunks, not its bytes: a shard may name one xorb of tiny
# chunks a million times. Real chunks have 8 KiB and more, but for the last of a file.
FREE_CHUNKS = 1_000_000
MIN_MEAN_CHUNK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file whose chunks are known to be the ones its name stands for."""

    name: bytes
    sha256: Digest | None
    size_bytes: int
    terms: tuple[StagedTerm, ...]


def verify(shard: Shard, xorbs: Xorbs, max_bytes: int) -> tuple[FilePlan, ...]:
    """The files of a shard, after every claim but the SHA-256 was found true.

    `max_bytes` bounds the plain bytes of all files together.

    Raises:
        NotStagedError: a xorb is named that is neither staged nor known to the caller.
        MalformedError: a claim is false; the message says which.
        LimitError: more bytes than `max_bytes`, or absurdly many tiny chunks.
    """
    budget = _Budget(max_bytes)
    for claim in shard.xorbs:
        _check_xorb(claim, xorbs)
    return tuple(_check_file(claim, xorbs, budget) for claim in shard.files)


class _Budget:
    """Counts what a shard asks for."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._chunks = 0

    def spend(self, chunks: int, plain_bytes: int) -> None:
        self._chunks += chunks
        self._bytes += plain_bytes
        if self._bytes > self._max_bytes:
            raise LimitError(f"files of more than {self._max_bytes} bytes", source="shard")
        if self._chunks > FREE_CHUNKS + self._bytes // MIN_MEAN_CHUNK_BYTES:
            raise LimitError(
                f"{self._chunks} chunks for {self._bytes} bytes: too small to be worth it",
                source="shard",
            )


def _check_xorb(claim: XorbClaim, xorbs: Xorbs) -> None:
    table = xorbs.table(claim.name)
    sizes = np.diff(table.plain_ends, prepend=np.uint32(0))
    if claim.names != table.names or not np.array_equal(claim.plain_sizes, sizes):
        raise MalformedError(
            f"the chunks of xorb {to_text(claim.name)} are not those that were uploaded",
            source="shard",
        )


def _check_file(claim: FileClaim, xorbs: Xorbs, budget: _Budget) -> FilePlan:
    tree = Tree()
    terms: list[StagedTerm] = []
    size_bytes = 0
    for term in claim.terms():
        table = xorbs.table(term.xorb)
        plain_bytes = _check_term(term, table)
        budget.spend(term.stop - term.start, plain_bytes)
        for name, chunk_bytes in table.chunks(term.start, term.stop):
            tree.add(name, chunk_bytes)
        size_bytes += plain_bytes
        terms.append(StagedTerm(term.xorb, term.start, term.stop, plain_bytes))
    found = file_name(tree)
    if found != claim.name:
        raise MalformedError(
            f"the chunks of file {to_text(claim.name)} hash to {to_text(found)}", source="shard"
        )
    return FilePlan(claim.name, claim.sha256, size_bytes, tuple(terms))


def _check_term(term: Term, table: ChunkTable) -> int:
    """The plain bytes of a term that is what it claims to be."""
    where = f"chunks {term.start} to {term.stop} of xorb {to_text(term.xorb)}"
    if not term.start < term.stop <= len(table):
        raise MalformedError(f"{where}: it has {len(table)}", source="shard")
    plain_bytes = table.plain_bytes(term.start, term.stop)
    if plain_bytes != term.plain_bytes:
        raise MalformedError(
            f"{where}: {plain_bytes} bytes, not {term.plain_bytes}", source="shard"
        )
    if table.range_name(term.start, term.stop) != term.range_name:
        raise MalformedError(f"{where}: the range hash does not match", source="shard")
    return plain_bytes
