"""Rewrites a blob kept raw as a recipe of parts, when that saves anything; remakes recipes.

Order of events, each durable before the next: packs, sketches, mark of the profile, recipe,
removal of the raw object.
Before the recipe is written the whole blob is read back through it and its SHA-256
compared, so a kill at any instant leaves the raw object, or a recipe known to be right.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from cairn.domain import Blob, Digest, Layout
from cairn.errors import BlobNotFoundError, IntegrityError, RequestError
from cairn.store.admission import Admission, Distrusting
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes, read_all, replace_bytes
from cairn.store.base_rule import BaseRule
from cairn.store.candidates import Candidates
from cairn.store.codec import pays
from cairn.store.encoding import Progress, encode_blob
from cairn.store.holdings import digests_under, load_recipe
from cairn.store.keys import (
    FAST,
    damaged_key,
    fast_key,
    raw_key,
    recipe_key,
    settled_key,
    sketch_key,
)
from cairn.store.kin import Kin
from cairn.store.likely_bases import LikelyBase, Namesakes
from cairn.store.locks import Locks
from cairn.store.needed import bases_in_use
from cairn.store.pack_index import PackIndex, load_indexes
from cairn.store.packs import SealedPack
from cairn.store.parts import PartStore
from cairn.store.planning import Planner
from cairn.store.precedence import wait_until_newest
from cairn.store.profiles import SMALL, Profile
from cairn.store.reading import BlobReader, RawReader, RecipeReader
from cairn.store.recipes import Recipe, parse_recipe
from cairn.store.remaking import OlderBases, Remake
from cairn.store.results import Optimized
from cairn.store.sketches import Sketch, encode_sketches, load_sketches
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
        self._used: set[bytes] | None = None  # parts that others are made from, where known

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
        plain bytes newly encoded, and 0 now and then while it waits or the blob is read back.

        Raises:
            StoppedError: `progress` raised it; the blob stays as it is.
            BlobNotFoundError: the store does not hold it.
            IntegrityError: its bytes do not match the digest; it stays as it is.
            RequestError: `layout` is of a file of another size.
        """
        with self._working(progress):
            raw = self._open_raw(digest)
            if raw is None:
                blob = load_recipe(self._backend, digest).blob
                return Optimized(blob, 0, 0, rewritten=False)
            with raw:
                return self._rewrite(raw, layout, progress, profile, likely)

    def remake(
        self,
        digest: Digest,
        layout: Layout | None,
        progress: Progress | None = None,
        profile: Profile = SMALL,
        likely: Iterable[LikelyBase] = (),
    ) -> Optimized:
        """Encode a blob that is rewritten already once more; optimizes one that is not.

        Raises:
            StoppedError: `progress` raised it; parts that were remade stay so.
            BlobNotFoundError: the store does not hold it.
            IntegrityError: its bytes do not match the digest; it stays as it is.
            RequestError: `layout` is of a file of another size.
            UnavailableError: the clock was set back behind the newest pack.
        """
        with self._working(progress):
            raw = self._open_raw(digest)
            if raw is None:
                recipe = load_recipe(self._backend, digest)
                return self._remake(recipe, layout, progress, profile, likely)
            with raw:
                return self._rewrite(raw, layout, progress, profile, likely)

    @contextmanager
    def _working(self, progress: Progress | None) -> Iterator[None]:
        with self._locks.maintenance(_at_least_told(progress)) as turn:
            self._refreshed = self._refreshed and turn == self._turn + 1
            self._turn = turn
            if not self._refreshed:
                self._used = None
            yield

    def _refresh(self) -> None:
        if not self._refreshed:  # takes as long as the store is large
            self._parts.index.refresh()
            self._kin.refresh()
            self._refreshed = True

    def _open_raw(self, digest: Digest) -> RawReader | None:
        try:
            stored = self._backend.open(raw_key(digest))
        except ObjectNotFoundError:
            return None
        return RawReader(Blob(digest, stored.size_bytes), stored)

    def _rewrite(
        self,
        raw: RawReader,
        layout: Layout | None,
        progress: Progress | None,
        profile: Profile,
        likely: Iterable[LikelyBase],
    ) -> Optimized:
        blob = raw.blob
        check_layout(layout, blob)
        if self._finish_interrupted(blob):
            return Optimized(blob, blob.size_bytes, 0, rewritten=True)
        if not worth_rewriting(raw, layout):
            if blob.size_bytes >= MIN_REWRITE_BYTES:
                put_bytes(self._backend, settled_key(blob.digest), b"")
            return Optimized(blob, blob.size_bytes, blob.size_bytes, rewritten=False)
        self._refresh()
        namesakes = Namesakes(layout, likely)
        rule = BaseRule(profile)
        planner = Planner(Candidates(blob.digest, self._parts, self._kin, rule, namesakes))
        with self._kin.learning(blob.digest):
            # Of a blob that is to be read fast, parts that are here may lie too deep.
            admission = (
                self._remake_of(blob.digest, profile, self._in_use()) if profile.quick else None
            )
            recipe, written = self._write(raw, layout, progress, planner, admission)
        if profile.quick:
            put_bytes(self._backend, fast_key(blob.digest), b"")
        written += self._write_recipe(recipe)
        self._remove_raw(blob.digest)
        return Optimized(blob, blob.size_bytes, written, rewritten=True)

    def _write(
        self,
        raw: RawReader,
        layout: Layout | None,
        progress: Progress | None,
        planner: Planner,
        admission: Admission | None,
    ) -> tuple[Recipe, int]:
        """Write all that a recipe needs, sketches too; the recipe, and the bytes written."""
        try:
            recipe, written = self._encoded(raw, layout, progress, planner, admission)
        except IntegrityError:
            # Either the raw bytes are wrong, or a part kept earlier is. Writing damaged parts anew
            # heals every blob that shares them.
            self._check(raw)
            distrusting = Distrusting(self._parts)
            recipe, written = self._encoded(raw, layout, None, None, distrusting)
        return recipe, written + self._write_sketches(raw.blob.digest, planner.candidates.sketches)

    def _remake(
        self,
        before: Recipe,
        layout: Layout | None,
        progress: Progress | None,
        profile: Profile,
        likely: Iterable[LikelyBase],
    ) -> Optimized:
        digest = before.blob.digest
        check_layout(layout, before.blob)
        self._refresh()
        in_use = self._in_use()
        sketches = load_sketches(self._backend, digest)
        rule = OlderBases(profile, before, self._kin, self._parts, in_use)
        namesakes = Namesakes(layout, likely)
        found = Candidates(digest, self._parts, self._kin, rule, namesakes, sketches)
        admission = self._remake_of(digest, profile, in_use)
        with RecipeReader(before, self._parts) as reader, self._kin.learning(digest):
            try:
                recipe, written = self._encoded(reader, layout, progress, Planner(found), admission)
            except IntegrityError:
                self._check(reader)
                raise
        if len(found.sketches) > len(sketches):
            written += self._write_sketches(digest, found.sketches)
        if profile.quick:
            put_bytes(self._backend, fast_key(digest), b"")
        if recipe.encode() != before.encode():  # of a version that cut it otherwise
            written += self._write_recipe(recipe)
        if not profile.quick:
            self._backend.delete(fast_key(digest))
        return Optimized(before.blob, 0, written, rewritten=bool(written))

    def _in_use(self) -> set[bytes]:
        if self._used is None:  # takes as long as the store is large
            self._used = bases_in_use(list(load_indexes(self._backend).values()))
        return self._used

    def _remake_of(self, digest: Digest, profile: Profile, in_use: set[bytes]) -> Remake:
        wait_until_newest(self._parts.index.newest_s())
        held = set() if profile.quick else self._held_fast(digest)
        return Remake(self._parts, profile, in_use, held)

    def _held_fast(self, digest: Digest) -> set[bytes]:
        """The parts of the other blobs that are kept to be read fast."""
        held: set[bytes] = set()
        for other, _ in digests_under(self._backend, FAST):
            if other != digest:
                with suppress(BlobNotFoundError, IntegrityError):  # raw still, gone, or damaged
                    recipe = load_recipe(self._backend, other)
                    held.update(part.digest for part in recipe.parts())
        return held

    def _write_recipe(self, recipe: Recipe) -> int:
        """Make the blob what the recipe says; the bytes written."""
        data = recipe.encode()
        replace_bytes(self._backend, recipe_key(recipe.blob.digest), data)
        return len(data)

    def _write_sketches(self, digest: Digest, sketches: list[Sketch]) -> int:
        """Make the blob's tensors findable as bases; the bytes written."""
        if not sketches:
            return 0
        data = encode_sketches(digest, sketches)
        replace_bytes(self._backend, sketch_key(digest), data)
        return len(data)

    def _encoded(
        self,
        source: BlobReader,
        layout: Layout | None,
        progress: Progress | None,
        planner: Planner | None,
        admission: Admission | None,
    ) -> tuple[Recipe, int]:
        """A recipe through which the blob was read back, and the bytes written for it."""
        with self._parts.packing() as packing:
            try:
                recipe = encode_blob(
                    source, source.blob, layout, self._parts, packing, planner, progress, admission
                )
            finally:
                self._note_bases(packing.sealed)
        recipe = parse_recipe(recipe.encode(), source.blob.digest)
        check_whole(RecipeReader(recipe, self._parts), _still_at_work(progress))
        if not packing.sealed:  # all parts were here: left, perhaps, by a run that was killed
            self._parts.make_durable(recipe)
        written = sum(
            pack.size_bytes + len(PackIndex.of(pack.records, pack.size_bytes).encode())
            for pack in packing.sealed
        )
        return recipe, written

    def _note_bases(self, sealed: Iterable[SealedPack]) -> None:
        if self._used is not None:
            for pack in sealed:
                self._used.update(base for r in pack.records for base in r.base_digests)

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

    def _check(self, reader: BlobReader) -> None:
        try:
            check_whole(reader)
        except IntegrityError:
            put_bytes(self._backend, damaged_key(reader.blob.digest), b"")
            raise

    def _remove_raw(self, digest: Digest) -> None:
        self._backend.delete(raw_key(digest))
        self._backend.delete(settled_key(digest))


def check_layout(layout: Layout | None, blob: Blob) -> None:
    """Make sure that a layout can be of this blob.

    Raises:
        RequestError: it is of a file of another size.
    """
    if layout is not None and layout.size_bytes != blob.size_bytes:
        raise RequestError(
            f"the layout is of {layout.size_bytes} bytes, blob {blob.digest} has {blob.size_bytes}"
        )


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
    """Read a blob to its end and compare its SHA-256; `progress` gets bytes as they are read.

    Raises:
        IntegrityError: it does not match, or cannot be read.
    """
    found = hashlib.sha256()
    for block in reader.pieces():
        found.update(block)
        if progress is not None:
            progress(len(block))
    check_digest(reader.blob.digest, found.hexdigest())


def _at_least_told(progress: Progress | None) -> Callable[[], None] | None:
    """Waiting for others does nothing new either, and may be told to stop as well."""
    return None if progress is None else lambda: progress(0)


def _still_at_work(progress: Progress | None) -> Progress | None:
    """Reading back encodes nothing new, but may be told to stop."""
    return None if progress is None else lambda _: progress(0)


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
