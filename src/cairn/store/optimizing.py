"""Rewrites a blob kept raw as a recipe of parts, when that saves anything.

Order of events, each durable before the next: packs, sketches, recipe, removal of the raw
object.
Before the recipe is written the whole blob is read back through it and its SHA-256
compared, so a kill at any instant leaves the raw object, or a recipe known to be right.
"""

import hashlib
from collections.abc import Iterable

from cairn.domain import Blob, Digest, Layout
from cairn.errors import BlobNotFoundError, IntegrityError, RequestError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes, read_all, replace_bytes
from cairn.store.candidates import Candidates
from cairn.store.codec import pays
from cairn.store.encoding import Progress, encode_blob
from cairn.store.keys import damaged_key, raw_key, recipe_key, settled_key, sketch_key
from cairn.store.kin import Kin
from cairn.store.likely_bases import LikelyBase, Namesakes
from cairn.store.locks import Locks
from cairn.store.pack_index import PackIndex
from cairn.store.parts import PartStore
from cairn.store.planning import Planner
from cairn.store.profiles import SMALL, Profile
from cairn.store.reading import BlobReader, RawReader, RecipeReader
from cairn.store.recipes import Recipe, parse_recipe
from cairn.store.results import Optimized
from cairn.store.sketches import Sketch, encode_sketches
from cairn.store.zstd_library import compress

# A recipe, a pack and its index take three objects and 12 KiB of disk blocks at least.
MIN_REWRITE_BYTES = 64 << 10
_PROBES = 16
_PROBE_BYTES = 128 << 10


class Optimizer:
    """The rewriting of one store."""

    def __init__(self, backend: Backend, locks: Locks, parts: PartStore, kin: Kin) -> None:
        self._backend = backend
        self._locks = locks
        self._parts = parts
        self._kin = kin
        self._turn = 0  # the last one here
        self._refreshed = False  # since somebody else had one

    def optimize(
        self,
        digest: Digest,
        layout: Layout | None,
        progress: Progress | None = None,
        profile: Profile = SMALL,
        likely: Iterable[LikelyBase] = (),
    ) -> Optimized:
        """Rewrite one blob; does nothing for one that is rewritten or settled already.

        Waits for another optimize or gc on the same store, in whatever process. `progress` gets
        plain bytes newly encoded, and 0 now and then while the blob is read back.

        Raises:
            StoppedError: `progress` raised it; the blob stays as it is.
            BlobNotFoundError: the store does not hold it.
            IntegrityError: its bytes do not match the digest; it stays as it is.
            RequestError: `layout` is of a file of another size.
        """
        with self._locks.maintenance() as turn:
            self._refreshed = self._refreshed and turn == self._turn + 1
            self._turn = turn
            try:
                stored = self._backend.open(raw_key(digest))
            except ObjectNotFoundError:
                return self._rewritten_before(digest)
            with RawReader(Blob(digest, stored.size_bytes), stored) as raw:
                namesakes = Namesakes(layout, likely)
                found = Candidates(digest, self._parts, self._kin, profile, namesakes)
                return self._rewrite(raw, layout, progress, Planner(found))

    def _rewritten_before(self, digest: Digest) -> Optimized:
        try:
            data = read_all(self._backend, recipe_key(digest))
        except ObjectNotFoundError:
            raise BlobNotFoundError(f"the store does not hold blob {digest}") from None
        return Optimized(parse_recipe(data, digest).blob, 0, 0, rewritten=False)

    def _rewrite(
        self, raw: RawReader, layout: Layout | None, progress: Progress | None, planner: Planner
    ) -> Optimized:
        blob = raw.blob
        if layout is not None and layout.size_bytes != blob.size_bytes:
            raise RequestError(
                f"the layout is of {layout.size_bytes} bytes, blob {blob.digest} has"
                f" {blob.size_bytes}"
            )
        if self._finish_interrupted(blob):
            return Optimized(blob, blob.size_bytes, 0, rewritten=True)
        if not worth_rewriting(raw, layout):
            if blob.size_bytes >= MIN_REWRITE_BYTES:
                put_bytes(self._backend, settled_key(blob.digest), b"")
            return Optimized(blob, blob.size_bytes, blob.size_bytes, rewritten=False)
        if not self._refreshed:  # takes as long as the store is large
            self._parts.index.refresh()
            self._kin.refresh()
            self._refreshed = True
        with self._kin.learning(blob.digest):
            written = self._write(raw, layout, progress, planner)
        self._remove_raw(blob.digest)
        return Optimized(blob, blob.size_bytes, written, rewritten=True)

    def _write(
        self, raw: RawReader, layout: Layout | None, progress: Progress | None, planner: Planner
    ) -> int:
        """Write a recipe and all it needs; the bytes written."""
        digest = raw.blob.digest
        try:
            recipe, written = self._encoded(raw, layout, progress, planner)
        except IntegrityError:
            # Either the raw bytes are wrong, or a part kept earlier is. Writing damaged parts anew
            # heals every blob that shares them.
            self._check_raw(raw)
            recipe, written = self._encoded(raw, layout, None, None)
        written += self._write_sketches(digest, planner.candidates.sketches)
        data = recipe.encode()
        replace_bytes(self._backend, recipe_key(digest), data)
        return written + len(data)

    def _write_sketches(self, digest: Digest, sketches: list[Sketch]) -> int:
        """Make the blob's tensors findable as bases; the bytes written."""
        if not sketches:
            return 0
        data = encode_sketches(digest, sketches)
        replace_bytes(self._backend, sketch_key(digest), data)
        return len(data)

    def _encoded(
        self,
        raw: RawReader,
        layout: Layout | None,
        progress: Progress | None,
        planner: Planner | None,
    ) -> tuple[Recipe, int]:
        """A recipe through which the blob was read back, and the bytes written for it."""
        with self._parts.packing() as packing:
            recipe = encode_blob(
                raw, raw.blob, layout, self._parts, packing, planner=planner, progress=progress
            )
        recipe = parse_recipe(recipe.encode(), raw.blob.digest)
        check_whole(RecipeReader(recipe, self._parts), progress)
        if not packing.sealed:  # all parts were here: left, perhaps, by a run that was killed
            self._parts.make_durable(recipe)
        written = sum(
            pack.size_bytes + len(PackIndex.of(pack.records, pack.size_bytes).encode())
            for pack in packing.sealed
        )
        return recipe, written

    def _finish_interrupted(self, blob: Blob) -> bool:
        """Whether an earlier run wrote the recipe and was killed before removing the raw blob."""
        try:
            recipe = parse_recipe(read_all(self._backend, recipe_key(blob.digest)), blob.digest)
            check_whole(RecipeReader(recipe, self._parts))
        except (ObjectNotFoundError, IntegrityError):
            return False
        # Whoever wrote these may have been killed before they were durable.
        self._parts.make_durable(recipe)
        self._backend.touch(recipe_key(blob.digest))
        self._remove_raw(blob.digest)
        return True

    def _check_raw(self, raw: RawReader) -> None:
        try:
            check_whole(raw)
        except IntegrityError:
            put_bytes(self._backend, damaged_key(raw.blob.digest), b"")
            raise

    def _remove_raw(self, digest: Digest) -> None:
        self._backend.delete(raw_key(digest))
        self._backend.delete(settled_key(digest))


def worth_rewriting(raw: BlobReader, layout: Layout | None) -> bool:
    """Whether parts would save something: always for tensors, by samples for other files.

    Tensors may be shared with files to come. Of anything else, a raw blob that would not
    shrink is worth more as it is: a web server can send the file by itself.
    """
    size = raw.size_bytes
    if size < MIN_REWRITE_BYTES:
        return False
    if layout is not None and any(s.span.size_bytes for s in layout.storages):
        return True
    step = max(1, (size - _PROBE_BYTES) // _PROBES)
    probes = [raw.read_at(at, _PROBE_BYTES) for at in range(0, size, max(step, _PROBE_BYTES))]
    return pays(sum(len(compress(p, 1)) for p in probes), sum(len(p) for p in probes))


def check_whole(reader: BlobReader, progress: Progress | None = None) -> None:
    """Read a blob to its end and compare its SHA-256; `progress` gets 0 for every block.

    Raises:
        IntegrityError: it does not match, or cannot be read.
    """
    found = hashlib.sha256()
    for block in reader.stream():
        found.update(block)
        if progress is not None:
            progress(0)
    check_digest(reader.blob.digest, found.hexdigest())


def check_digest(digest: Digest, found_sha256: str) -> None:
    """Compare what a blob reads back as with what it should be.

    Raises:
        IntegrityError: they differ.
    """
    if found_sha256 != digest.hex:
        raise IntegrityError(
            f"blob {digest} reads back as sha256:{found_sha256}. The stored bytes are damaged:"
            " run `cairn store repair`, with --from a backup if there is one, or upload it again"
        )
