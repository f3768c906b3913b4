"""What a store holds and whether it still reads: counts, sizes, verification."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from random import Random

import numpy as np

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError, RequestError, UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes
from cairn.store.holdings import digests_under, known_digests, load_blob, load_recipe
from cairn.store.keys import PACKS, RAW, RECIPES, SKETCHES, damaged_key, raw_key, recipe_key
from cairn.store.optimizing import check_whole
from cairn.store.pack_index import load_index
from cairn.store.packs import RECORD_HEAD_BYTES
from cairn.store.parts import PartStore
from cairn.store.reading import BlobReader
from cairn.store.results import CodecShare, StoreStats, Verification


@dataclass(frozen=True, slots=True)
class Sample:
    """A share of all blobs, drawn at random: the same ones for the same seed and blobs.

    Raises:
        RequestError: the share is not above 0 and at most 1.
    """

    share: float
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise RequestError(f"a sample of {self.share} of the blobs: give 0 to 1, as in 0.05")

    def of(self, digests: Iterable[Digest]) -> list[Digest]:
        """At least one of them, if there is one."""
        ordered = sorted(digests)
        return Random(self.seed).sample(ordered, ceil(self.share * len(ordered)))  # noqa: S311


def verify(
    backend: Backend,
    readers: Callable[[Digest], list[BlobReader]],
    digests: Iterable[Digest] | None,
    progress: Callable[[int], None] | None,
    sample: Sample | None = None,
) -> Verification:
    """Read blobs whole, in every form they are kept in, and compare their SHA-256.

    `readers` opens all forms of a blob. `progress` gets plain bytes newly checked. A bad blob
    is marked: the store no longer claims to have it, so that a client sends it again; one that
    reads well loses its mark. Where no `digests` are given, `sample` says how many of all are
    read.
    """
    checked = size = 0
    bad: list[tuple[Digest, str]] = []
    every = known_digests(backend) if sample is None else sample.of(known_digests(backend))
    for digest in every if digests is None else digests:
        checked += 1
        try:
            for number, reader in enumerate(readers(digest)):
                with reader:
                    check_whole(reader, progress if number == 0 else None)
                plain = reader.size_bytes
            size += plain
            _unmark(backend, digest)
        except BlobNotFoundError as error:
            if digests is not None:  # else gc took it since it was listed
                bad.append((digest, str(error)))
        except IntegrityError as error:
            bad.append((digest, str(error)))
            with suppress(UnavailableError):  # a full disk: the answer names it all the same
                put_bytes(backend, damaged_key(digest), b"")
        except UnavailableError as error:  # a bad sector, or a disk that comes back: no mark
            bad.append((digest, str(error)))
    return Verification(checked, size, tuple(bad))


def _unmark(backend: Backend, digest: Digest) -> None:
    """A blob reads well again: another one brought its damaged parts back, or the disk did."""
    with suppress(UnavailableError):  # a full or read-only disk: the next time
        if backend.exists(damaged_key(digest)):
            backend.delete(damaged_key(digest))


def stats(backend: Backend) -> StoreStats:
    """Counts and sizes of everything; reads every pack index and every recipe's head."""
    raw = {digest.raw: info.size_bytes for digest, info in digests_under(backend, RAW)}
    logical, blobs = sum(raw.values()), len(raw)
    stored = logical
    for digest, info in digests_under(backend, RECIPES):
        stored += info.size_bytes
        if digest.raw not in raw:
            blobs += 1
            try:
                logical += load_blob(backend, digest).size_bytes
            except (IntegrityError, BlobNotFoundError):
                continue  # verify names it
    stored += sum(info.size_bytes for info in backend.list(SKETCHES))
    pack_ids = []
    for info in backend.list(PACKS):
        stored += info.size_bytes
        if info.key.endswith(".pack"):
            pack_ids.append(info.key[len(PACKS) : -5])
    shares = _shares(backend, pack_ids)
    return StoreStats(
        blobs=blobs, logical_bytes=logical, stored_bytes=stored, raw_blobs=len(raw),
        raw_bytes=sum(raw.values()), packs=len(pack_ids),
        parts=sum(share.parts for share in shares.values()), by_codec=shares,
    )  # fmt: skip


def _shares(backend: Backend, pack_ids: Iterable[str]) -> dict[str, CodecShare]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for pack_id in pack_ids:
        try:
            entries = load_index(backend, pack_id).entries
        except ObjectNotFoundError:
            continue  # gc took it since it was listed
        for name in np.unique(entries["codec"]):
            rows = entries[entries["codec"] == name]
            sizes = [len(rows), int(rows["plain"].sum()), int(rows["stored"].sum())]
            sums[name.decode()] = [a + b for a, b in zip(sums[name.decode()], sizes, strict=True)]
    return {name: CodecShare(*values) for name, values in sorted(sums.items())}


def stored_bytes(backend: Backend, parts: PartStore, digests: Iterable[Digest]) -> int:
    """Bytes these blobs occupy: raw objects, recipes, and each part they name once.

    Parts shared with blobs not in `digests` count in full. A damaged or lost blob counts
    what is left of it.
    """
    total = 0
    seen: set[bytes] = set()
    refreshed = False
    for digest in set(digests):
        try:
            total += backend.info(raw_key(digest)).size_bytes
            continue
        except ObjectNotFoundError:
            pass
        try:
            total += backend.info(recipe_key(digest)).size_bytes
            recipe = load_recipe(backend, digest)
        except (ObjectNotFoundError, BlobNotFoundError, IntegrityError):
            continue
        for part in recipe.parts():
            if part.digest in seen:
                continue
            seen.add(part.digest)
            places = parts.index.find(part.digest)
            if not places and not refreshed:
                parts.index.refresh()
                refreshed = True
                places = parts.index.find(part.digest)
            if places:
                total += RECORD_HEAD_BYTES + places[0].stored_bytes
    return total
