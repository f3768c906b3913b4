"""The store's one door: blobs in, blobs out, under the SHA-256 of their plain bytes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cairn.domain import Blob, Digest, Layout
from cairn.errors import BlobNotFoundError, IntegrityError, LimitError
from cairn.plugins import Registry
from cairn.store import accounting, holdings
from cairn.store.backends import Backend, LocalBackend, ObjectNotFoundError
from cairn.store.codec import Codec
from cairn.store.codecs import CODECS
from cairn.store.collecting import Collection
from cairn.store.exporting import Export
from cairn.store.family_contents import FamilyContents
from cairn.store.format_mark import check_format
from cairn.store.hub_mark import HubMark
from cairn.store.importing import Import, Imported
from cairn.store.keys import FAST, RAW, SKETCHES, damaged_key, raw_key, recipe_key, settled_key
from cairn.store.kin import Kin
from cairn.store.likely_bases import LikelyBase
from cairn.store.locks import Locks
from cairn.store.mending import Mending
from cairn.store.names import Names
from cairn.store.optimizing import MIN_REWRITE_BYTES, Optimizer, check_digest
from cairn.store.parts import PACK_TARGET_BYTES, PartStore
from cairn.store.pausing import Pause
from cairn.store.profiles import SMALL, Profile
from cairn.store.reading import BlobReader, RawReader, RecipeReader
from cairn.store.results import Collected, Optimized, StoreStats, Verification
from cairn.store.rounds import Rounds
from cairn.store.staging import Staging
from cairn.store.stock import Stock
from cairn.store.writing import BlobWriter


class BlobStore:
    """Keeps blobs; thread-safe, and several processes may work on the same one.

    A blob lands raw, as uploaded. `optimize` may later keep it as a recipe of encoded parts;
    nothing a caller sees changes by that, except `local_path` and the space it takes.
    """

    def __init__(
        self,
        backend: Backend,
        locks: Locks,
        codecs: Registry[Codec] = CODECS,
        pack_target_bytes: int = PACK_TARGET_BYTES,
    ) -> None:
        self._backend = backend
        self._locks = locks
        self._parts = PartStore(backend, codecs, pack_target_bytes)
        self._optimizer = Optimizer(backend, locks, self._parts, Kin(backend))
        self._mending = Mending(backend, locks, self._parts)
        self.staging = Staging(backend)
        self.names = Names(backend)
        self.pause = Pause(backend)
        self.hub_mark = HubMark(backend)
        self.rounds = Rounds(backend)

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here, and not known to be damaged."""
        backend = self._backend
        here = backend.exists(raw_key(digest)) or backend.exists(recipe_key(digest))
        return here and not backend.exists(damaged_key(digest))

    def blob(self, digest: Digest) -> Blob:
        """The blob's size.

        Raises:
            BlobNotFoundError: the store does not hold it.
            IntegrityError: its recipe is damaged.
        """
        return holdings.load_blob(self._backend, digest)

    def open(self, digest: Digest) -> BlobReader:
        """Open a blob for reading; stays readable while optimize and gc run.

        Raises:
            BlobNotFoundError: the store does not hold it.
            IntegrityError: its recipe is damaged.
        """
        try:
            return self._open_raw(digest)
        except ObjectNotFoundError:
            return self._open_recipe(digest)

    def _open_raw(self, digest: Digest) -> BlobReader:
        stored = self._backend.open(raw_key(digest))
        return RawReader(Blob(digest, stored.size_bytes), stored)

    def _open_recipe(self, digest: Digest) -> BlobReader:
        return RecipeReader(holdings.load_recipe(self._backend, digest), self._parts)

    def read_bytes(self, digest: Digest, limit_bytes: int) -> bytes:
        """A whole small blob, its SHA-256 checked.

        Raises:
            BlobNotFoundError: the store does not hold it.
            IntegrityError: it is damaged.
            LimitError: it has more than `limit_bytes`.
        """
        with self.open(digest) as reader:
            if reader.size_bytes > limit_bytes:
                raise LimitError(
                    f"{reader.size_bytes} bytes, at most {limit_bytes} are read at once",
                    source=reader.name,
                )
            data = reader.read_at(0, reader.size_bytes)
        check_digest(digest, hashlib.sha256(data).hexdigest())
        return data

    def local_path(self, digest: Digest) -> Path | None:
        """The blob as a local file to send, if it is kept raw on a local disk; else None.

        The file may be removed by an optimize that runs between this call and opening it.
        """
        return self._backend.local_path(raw_key(digest))

    def writer(self) -> BlobWriter:
        """Begin an upload: a context manager with `write` and `finish`."""
        return BlobWriter(self._backend, self._locks)

    def put(self, chunks: Iterable[bytes | memoryview], expected: Digest | None = None) -> Blob:
        """Keep a blob given in chunks; durable when this returns.

        Raises:
            IntegrityError: it does not have the digest `expected`; nothing is kept.
            UnavailableError: the disk is full or failing.
        """
        with self.writer() as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.finish(expected)

    def put_bytes(self, data: bytes) -> Blob:
        """Keep a small blob; durable when this returns."""
        return self.put([data])

    def touch(self, digest: Digest) -> Blob:
        """Say that a blob is still wanted: its gc grace period starts anew.

        Raises:
            BlobNotFoundError: the store does not hold it.
        """
        with self._locks.adding():
            # In this order: optimize writes the recipe before it removes the raw object.
            if not any(self._backend.touch(key(digest)) for key in (raw_key, recipe_key)):
                raise BlobNotFoundError(f"the store does not hold blob {digest}")
            return self.blob(digest)

    def every_blob(self) -> Iterator[Blob]:
        """All that the store holds and can tell the size of, in no order."""
        for digest in holdings.known_digests(self._backend):
            with suppress(BlobNotFoundError, IntegrityError):  # gone meanwhile; verify names it
                yield self.blob(digest)

    def pending(self) -> Iterator[Digest]:
        """Raw blobs that optimize has not looked at and might make smaller, oldest first.

        What a file can be made from came before it as a rule: a base before its fine-tunes and
        quantisations. The other way round a cast is kept whole and what it was cast from as well.
        """
        large = [
            (info.modified_s, digest.hex, digest)
            for digest, info in holdings.digests_under(self._backend, RAW)
            if info.size_bytes >= MIN_REWRITE_BYTES
        ]
        for _, _, digest in sorted(large, key=lambda row: row[:2]):
            if not self._is_marked(digest):
                yield digest

    def waits(self, digest: Digest) -> bool:
        """Whether this blob is one of the pending ones."""
        try:
            size = self._backend.info(raw_key(digest)).size_bytes
        except ObjectNotFoundError:
            return False
        return size >= MIN_REWRITE_BYTES and not self._is_marked(digest)

    def is_rewritten(self, digest: Digest) -> bool:
        """Whether optimize is done with this blob and keeps it otherwise than it landed."""
        backend = self._backend
        return backend.exists(recipe_key(digest)) and not backend.exists(raw_key(digest))

    def _is_marked(self, digest: Digest) -> bool:
        return any(map(self._backend.exists, (settled_key(digest), damaged_key(digest))))

    def optimize(
        self,
        digest: Digest,
        layout: Layout | None,
        progress: Callable[[int], None] | None = None,
        profile: Profile = SMALL,
        likely: Iterable[LikelyBase] = (),
    ) -> Optimized:
        """Rewrite a raw blob as parts if that saves space; see `Optimizer.optimize`.

        Parts that are here already are shared as they are, in whatever profile they were made.

        `progress` gets plain bytes newly encoded, and 0 now and then while it waits for others or
        the blob is read back; it may raise `StoppedError` to end the work. `likely` are what the
        blob was probably made from, the likeliest first; the store finds others by itself.
        """
        return self._optimizer.optimize(digest, layout, progress, profile, likely)

    def remake(
        self,
        digest: Digest,
        layout: Layout | None,
        progress: Callable[[int], None] | None = None,
        profile: Profile = SMALL,
        likely: Iterable[LikelyBase] = (),
    ) -> Optimized:
        """Encode a blob as parts once more, in another profile; see `Optimizer.remake`.

        What it took before is freed by the next `collect`. `progress` and `likely` are those of
        `optimize`.
        """
        return self._optimizer.remake(digest, layout, progress, profile, likely)

    def oldest_first(self, digests: Iterable[Digest]) -> list[Digest]:
        """In the order in which blobs were first rewritten: the first of a chain comes first.

        Those that never were, or have no tensors, come before all.
        """
        sketches = holdings.digests_under(self._backend, SKETCHES)
        since_s = {digest: info.modified_s for digest, info in sketches}
        return sorted(digests, key=lambda digest: since_s.get(digest, 0.0))

    def kept_fast(self) -> dict[Digest, float]:
        """Blobs that were made to be read fast, and since when, in Unix seconds."""
        marks = holdings.digests_under(self._backend, FAST)
        return {digest: info.modified_s for digest, info in marks}

    def verify(
        self,
        digests: Iterable[Digest] | None = None,
        progress: Callable[[int], None] | None = None,
        sample: accounting.Sample | None = None,
    ) -> Verification:
        """Read blobs (None: all, or a sample of all) whole and compare their SHA-256.

        `progress` gets plain bytes newly checked. `has` says False for a blob found bad,
        until it is uploaded again, or reads well because a blob with the same parts was.
        """
        return accounting.verify(self._backend, self._forms, digests, progress, sample)

    def _forms(self, digest: Digest) -> list[BlobReader]:
        forms: list[BlobReader] = []
        with suppress(ObjectNotFoundError):
            forms.append(self._open_raw(digest))
        try:
            forms.append(self._open_recipe(digest))
        except BlobNotFoundError:
            if not forms:
                raise
        return forms

    def suspects(self) -> Iterator[Digest]:
        """Blobs that need a `mend`: found damaged before, or left by work that was cut short."""
        return self._mending.suspects()

    def mend(self, digest: Digest) -> None:
        """Make the best of what is here of a blob: keep of its forms only those that are whole.

        Reads the blob; waits for another optimize or gc on the same store, in whatever process.

        Raises:
            BlobNotFoundError: there is no form of it.
            IntegrityError: none is whole. It is marked damaged: the next put is kept anew.
            UnavailableError: the disk does not take the mark.
        """
        self._mending.mend(digest)

    def collect(self, live: Callable[[], Iterable[Digest]], grace_s: float) -> Collected:
        """Remove blobs that have no name and are not in `live()`.

        Those put or touched in the last `grace_s` seconds stay.
        Then frees the parts only they needed. Safe beside uploads as long as whoever makes a
        blob live touches it first and takes less than `grace_s` to do so.
        """

        def wanted() -> Iterator[Digest]:
            yield from (named.blob.digest for named in self.names.list())
            yield from live()

        return Collection(self._backend, self._locks, self._parts, grace_s).run(wanted)

    @contextmanager
    def exporting(self, digests: Iterable[Digest]) -> Iterator[Export]:
        """Blobs as a file, with all that they are made from; no optimize or gc runs meanwhile.

        Raises:
            BlobNotFoundError: the store does not hold one of the blobs.
            IntegrityError: one is damaged, or a part it needs is lost.
        """
        with self._locks.maintenance():
            yield Export(self._backend, digests)

    @contextmanager
    def importing(
        self, family: FamilyContents, progress: Callable[[int], None]
    ) -> Iterator[Imported]:
        """Take in the blobs of a family file; `progress` gets their plain bytes.

        No optimize or gc runs until the context ends: what makes the blobs live belongs in it.

        Raises:
            UntrustedDataError: a blob or part is not what its digest says.
            UnavailableError: the disk is full or failing.
        """
        with self._locks.maintenance():
            yield Import(self._backend, self._locks, self._parts, family, progress).run()

    def compact(self, grace_s: float) -> Collected:
        """Free what packs hold that no blob needs, as after a `remake`; removes no blob.

        Packs and drafts are kept for `grace_s` seconds as `collect` keeps them.
        """
        return Collection(self._backend, self._locks, self._parts, grace_s).run(None)

    def stats(self) -> StoreStats:
        """Counts and sizes of everything."""
        return accounting.stats(self._backend)

    def take_stock(self, progress: Callable[[int], None] | None = None) -> Stock:
        """Who needs which stored bytes; `progress` gets plain bytes of blobs looked at."""
        return Stock(self._backend, progress)

    def stored_bytes(self, digests: Iterable[Digest]) -> int:
        """Bytes these blobs occupy, parts they share counted once."""
        return accounting.stored_bytes(self._backend, self._parts, digests)


def open_local_store(root: Path, codecs: Registry[Codec] = CODECS) -> BlobStore:
    """Open the store in a folder, creating it if there is none.

    Raises:
        UnavailableError: the folder cannot be used, holds something else, or was written by
            a newer Cairn.
    """
    backend = LocalBackend(root)
    check_format(backend, str(root))
    return BlobStore(backend, Locks(root / "locks"), codecs)
