"""Who needs which stored bytes: parts distinct, shared, owned, and how deep their chains go."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.store.backends import Backend
from cairn.store.bases import MAX_DEPTH
from cairn.store.holdings import digests_under, load_recipe
from cairn.store.keys import RAW, RECIPES
from cairn.store.pack_index import PackIndex, load_indexes
from cairn.store.packs import RECORD_HEAD_BYTES
from cairn.store.results import CodecShare, GroupShare

_DIGEST = np.dtype("S32")  # compares as 32 bytes do; "V32" has no order

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Blob:
    """A blob's plain bytes, the stored bytes that are its alone, and the parts it names."""

    plain_bytes: int
    stored_bytes: int
    parts: Ids


class Stock:
    """What a store held at one moment: some 50 bytes of memory per part."""

    def __init__(self, backend: Backend, progress: Callable[[int], None] | None = None) -> None:
        """Read every pack index and every recipe; `progress` gets plain bytes of blobs seen."""
        indexes = list(load_indexes(backend).values())
        every = [index.entries["digest"].copy().view(_DIGEST) for index in indexes]
        joined = np.concatenate(every) if every else np.empty(0, _DIGEST)
        self._digests, first = np.unique(joined, return_index=True)  # newest pack first
        entries = np.concatenate([i.entries for i in indexes]) if indexes else None
        self._plain = _column(entries, "plain", first)
        self._stored = _column(entries, "stored", first) + RECORD_HEAD_BYTES
        self._child, self._base = self._edges(indexes, first)
        self._decoded = self._reads()
        self._blobs = self._read_blobs(backend, progress)

    def _edges(self, indexes: list[PackIndex], first: Ids) -> tuple[Ids, Ids]:
        """Part numbers of derived parts and of what each is made from, in the pack that counts."""
        children, bases, start = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        counted = np.zeros(sum(len(i.entries) for i in indexes), dtype=bool)
        counted[first] = True
        for index in indexes:
            at = start + index.edges["entry"].astype(np.int64)
            edges = index.edges[counted[at]]
            known = index.entries["digest"].copy().view(_DIGEST)
            child, _ = self._numbers(known[edges["entry"]])
            base, found = self._numbers(edges["base"].copy().view(_DIGEST))
            children.append(child[found])
            bases.append(base[found])
            start += len(index.entries)
        return np.concatenate(children), np.concatenate(bases)

    def _numbers(self, digests: npt.NDArray[np.bytes_]) -> tuple[Ids, Mask]:
        """The number of each part, and whether it is known: else the number means nothing."""
        if not len(self._digests):
            return np.zeros(len(digests), np.int64), np.zeros(len(digests), bool)
        at = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
        return at, self._digests[at] == digests

    def _read_blobs(
        self, backend: Backend, progress: Callable[[int], None] | None
    ) -> dict[bytes, _Blob]:
        nothing = np.empty(0, np.int64)
        blobs = {
            digest.raw: _Blob(info.size_bytes, info.size_bytes, nothing)
            for digest, info in digests_under(backend, RAW)
        }
        for digest, info in digests_under(backend, RECIPES):
            if digest.raw in blobs:
                continue  # an optimize that was killed before it removed the raw object
            try:
                recipe = load_recipe(backend, digest)
            except (BlobNotFoundError, IntegrityError):
                continue  # verify names it
            names = np.array([part.digest for part in recipe.parts()], dtype=_DIGEST)
            at, known = self._numbers(names)
            parts = np.unique(at[known])
            blobs[digest.raw] = _Blob(recipe.blob.size_bytes, info.size_bytes, parts)
            if progress is not None:
                progress(recipe.blob.size_bytes)
        return blobs

    def digests(self) -> set[Digest]:
        """Every blob that is here and whose recipe reads."""
        return {Digest.sha256(raw.hex()) for raw in self._blobs}

    @property
    def unique_bytes(self) -> int:
        """Plain bytes of the distinct parts that blobs are made of; raw blobs count whole."""
        named = self._named(self._blobs.values())
        raw = sum(b.plain_bytes for b in self._blobs.values() if not len(b.parts))
        return raw + int(self._plain[named].sum())

    def by_depth(self) -> dict[int, CodecShare]:
        """Parts that some blob needs, by how many others are read through to read them."""
        needed = self._with_bases(self._named(self._blobs.values()))
        depths = self._depths()
        found = {}
        for depth in np.unique(depths[needed]):
            these = needed & (depths == depth)
            plain, stored = int(self._plain[these].sum()), int(self._stored[these].sum())
            found[int(depth)] = CodecShare(int(these.sum()), plain, stored)
        return found

    def deeper_than(self, depth: int) -> list[Digest]:
        """Blobs of which some part is read through more others than this."""
        deep = self._depths() > depth
        found = [raw for raw, blob in self._blobs.items() if deep[blob.parts].any()]
        return [Digest.sha256(raw.hex()) for raw in found]

    @property
    def decoded_bytes(self) -> int:
        """Plain bytes that are decoded to read each distinct part once; raw blobs count whole."""
        raw = sum(b.plain_bytes for b in self._blobs.values() if not len(b.parts))
        return raw + round(float(self._decoded[self._named(self._blobs.values())].sum()))

    def shares(self, groups: Mapping[str, Iterable[Digest]]) -> dict[str, GroupShare]:
        """What each group of blobs takes; what several groups need is in each one's numbers.

        Only `own_bytes` add up: they are needed by no other of these groups.
        """
        wanted = {name: self._held(digests) for name, digests in groups.items()}
        blob_users: dict[bytes, int] = {}
        part_users = np.zeros(len(self._digests), dtype=np.int64)
        for raws in wanted.values():
            for raw in raws:
                blob_users[raw] = blob_users.get(raw, 0) + 1
            part_users += self._needed(raws)
        return {name: self._share(raws, blob_users, part_users) for name, raws in wanted.items()}

    def _needed(self, raws: Iterable[bytes]) -> Mask:
        return self._with_bases(self._named(self._blobs[raw] for raw in raws))

    def _held(self, digests: Iterable[Digest]) -> set[bytes]:
        return {digest.raw for digest in digests if digest.raw in self._blobs}

    def _share(
        self, raws: set[bytes], blob_users: Mapping[bytes, int], part_users: Ids
    ) -> GroupShare:
        blobs = {raw: self._blobs[raw] for raw in raws}
        named, needed = self._named(blobs.values()), self._needed(raws)
        own = needed & (part_users == 1)
        whole = sum(b.plain_bytes for b in blobs.values() if not len(b.parts))
        alone = sum(b.stored_bytes for raw, b in blobs.items() if blob_users[raw] == 1)
        fair = sum(b.stored_bytes / blob_users[raw] for raw, b in blobs.items())
        stored = self._stored[needed]
        return GroupShare(
            blobs=len(blobs),
            logical_bytes=sum(b.plain_bytes for b in blobs.values()),
            unique_bytes=whole + int(self._plain[named].sum()),
            decoded_bytes=whole + round(float(self._decoded[named].sum())),
            stored_bytes=sum(b.stored_bytes for b in blobs.values()) + int(stored.sum()),
            own_bytes=alone + int(self._stored[own].sum()),
            fair_bytes=round(fair + float((stored / part_users[needed]).sum())),
        )

    def _named(self, blobs: Iterable[_Blob]) -> Mask:
        mask = np.zeros(len(self._digests), dtype=bool)
        for blob in blobs:
            mask[blob.parts] = True
        return mask

    def _with_bases(self, mask: Mask) -> Mask:
        """The same parts, what they are made from, what that is made from, and so on."""
        found = mask.copy()
        for _ in range(MAX_DEPTH):
            before = int(found.sum())
            found[self._base[found[self._child]]] = True
            if int(found.sum()) == before:
                break
        return found

    def _reads(self) -> npt.NDArray[np.float64]:
        """For each part the plain bytes of itself and of all parts that it is read through.

        That is the most a read decodes: of a base it may want only some bytes.
        """
        plain = self._plain.astype(np.float64)
        reads = plain
        for _ in range(MAX_DEPTH):
            before, reads = reads, plain.copy()
            np.add.at(reads, self._child, before[self._base])
            if np.array_equal(before, reads):
                break
        return reads

    def _depths(self) -> Ids:
        depths = np.zeros(len(self._digests), dtype=np.int64)
        for _ in range(MAX_DEPTH):  # no more rounds, so that a damaged index cannot go in circles
            before = depths.copy()
            np.maximum.at(depths, self._child, before[self._base] + 1)
            if np.array_equal(before, depths):
                break
        return depths


def _column(entries: npt.NDArray[np.void] | None, name: str, rows: Ids) -> Ids:
    return np.empty(0, np.int64) if entries is None else entries[name][rows].astype(np.int64)
