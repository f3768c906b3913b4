"""The blobs of a family file and what they are made of, none of it believed before it is checked.

When a `FamilyContents` exists, its parts are each there once, are read in a bounded number of
steps, and are all that its recipes need. The bytes of parts and blobs are checked when they are
read.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from cairn.domain import Blob, Digest
from cairn.errors import (
    IntegrityError,
    LimitError,
    MalformedError,
    NamingError,
    UnavailableError,
    UnknownFormatError,
)
from cairn.plugins import Registry
from cairn.store.chains import depths_of
from cairn.store.codec import Codec
from cairn.store.codecs import CODECS
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.family_file import FamilyFile
from cairn.store.format_mark import FORMAT_KEY, check_format
from cairn.store.keys import (
    PACKS,
    RAW,
    RECIPES,
    digest_of_key,
    pack_key,
    raw_key,
    recipe_key,
    sketch_key,
)
from cairn.store.needed import closure
from cairn.store.optimizing import check_whole
from cairn.store.pack_index import PackIndex
from cairn.store.packs import Encoded, read_encoded, scan
from cairn.store.part_index import Place
from cairn.store.parts import PartStore
from cairn.store.reading import CACHE_BYTES, BlobReader, RawReader, RecipeReader
from cairn.store.recipes import Part, Recipe, parse_recipe
from cairn.store.sketches import can_sketch, parse_sketches

# A recipe of so many bytes is of a blob of some five terabytes, sketches of 200,000 tensors.
MAX_OBJECT_BYTES = 64 << 20
_MAX_FORMAT_BYTES = 100

# A recipe names a part of 4 MiB in 12 bytes, and a part its bases in 40 each, so a small file can
# ask for years of reading. Families take a thousandth of their plain bytes at the least, but for
# what is made of zeros, and are decoded some ten times over.
MAX_DECODED_SHARE = 1000
MIN_DECODED_LIMIT_BYTES = 16 << 30

# So many of the largest parts stay in a reader's cache: one that comes again costs nothing.
_CACHED_PARTS = CACHE_BYTES // MAX_PART_BYTES - 1


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a part lies, its plain bytes, and the depth its record claims."""

    place: Place
    plain_bytes: int
    depth: int


class FamilyContents:
    """What is in a family file: blobs to read, parts to take over."""

    def __init__(
        self,
        file: FamilyFile,
        max_decoded_bytes: int | None = None,
        codecs: Registry[Codec] = CODECS,
    ) -> None:
        """Scan every record head and every recipe; takes some 400 bytes of memory per part.

        Reading every blob once, and every part that none names, may decode `max_decoded_bytes`,
        bases included; None: a thousand times what the file has.

        Raises:
            UntrustedDataError: they do not fit together, are too many, or of a newer Cairn.
        """
        self.file = file
        self._parts = PartStore(file.objects, codecs)
        self._check_format()
        self._kept: dict[bytes, _Kept] = {}
        self._bases: dict[bytes, tuple[bytes, ...]] = {}
        for key in file.keys(PACKS):
            with self._blaming(key):
                self._scan(key)
        self._costs = self._checked_costs()
        self._decoded_bytes = 0
        self._named: set[bytes] = set()  # by recipes
        self.blobs = tuple(self._known_blobs())
        self._decoded_bytes += sum(map(self._cost_of, self._unnamed()))
        self._check_blobs(max_decoded_bytes)

    def _check_format(self) -> None:
        self.file.read(FORMAT_KEY, _MAX_FORMAT_BYTES)
        try:
            check_format(self.file.objects, self.file.source.name)
        except UnavailableError as error:
            raise UnknownFormatError(str(error), source=self.file.source.name) from None

    def _scan(self, key: str) -> None:
        """Learn which parts a pack holds."""
        pack_id = key[len(PACKS) :].removesuffix(".pack")
        if key != pack_key(pack_id):
            raise IntegrityError("not the name of a pack")
        with self.file.objects.open(key) as pack:
            records = list(scan(pack))
            index = PackIndex.of(records, pack.size_bytes)
            self._parts.index.add(pack_id, index, self.file.objects.info(key).modified_s)
        for record in records:
            if record.digest in self._kept:
                raise IntegrityError(f"part {record.digest.hex()} is in the file twice")
            place = Place(pack_id, record.offset, record.stored_bytes)
            self._kept[record.digest] = _Kept(place, record.plain_bytes, record.depth)
            if record.depth:
                self._bases[record.digest] = record.base_digests

    def _checked_costs(self) -> dict[bytes, int]:
        """How many bytes are decoded to read each derived part, from bases that are all there."""
        try:
            lost = {b for bases in self._bases.values() for b in bases} - self._kept.keys()
            if lost:
                raise IntegrityError(f"base {min(lost).hex()} is not in it")
            depths = depths_of(self._bases)
            if any(kept.depth != depths.get(digest, 0) for digest, kept in self._kept.items()):
                raise IntegrityError("a part claims a depth that it does not have")
        except IntegrityError as error:
            raise MalformedError(str(error), source=self.file.source.name) from None
        costs: dict[bytes, int] = {}
        for digest in depths:  # bases first
            below = (costs.get(b, self._kept[b].plain_bytes) for b in self._bases[digest])
            costs[digest] = self._kept[digest].plain_bytes + sum(below)
        return costs

    def _known_blobs(self) -> Iterator[Blob]:
        for prefix in (RECIPES, RAW):
            for key in self.file.keys(prefix):
                with self._blaming(key):
                    digest = digest_of_key(key)
                    if key not in (raw_key(digest), recipe_key(digest)):
                        raise IntegrityError("not the name of a blob")
                    if prefix == RAW and self.is_recipe(digest):
                        raise IntegrityError("the blob is there as a recipe as well")
                if prefix == RAW:
                    yield Blob(digest, self.file.place(key).size_bytes)
                else:
                    yield self._checked_recipe(digest).blob

    def _checked_recipe(self, digest: Digest) -> Recipe:
        recipe = self.recipe(digest)
        with self._blaming(recipe_key(digest)):
            for part in recipe.parts():
                kept = self._kept.get(part.digest)
                if kept is None or kept.plain_bytes != part.plain_bytes:
                    raise IntegrityError(f"part {part.digest.hex()} is not in the file")
                self._named.add(part.digest)
        self._decoded_bytes += self._cost(recipe)
        return recipe

    def _cost(self, recipe: Recipe) -> int:
        """How many bytes are decoded to read a blob from start to end, at the most."""
        parts = [self._cost_of(part.digest) for part in recipe.parts()]
        cached: deque[int] = deque(maxlen=_CACHED_PARTS)
        total = 0
        for piece in recipe.slices(0, recipe.blob.size_bytes):
            if piece.part not in cached:
                total += parts[piece.part]
                cached.append(piece.part)
        return total

    def _cost_of(self, digest: bytes) -> int:
        return self._costs.get(digest, self._kept[digest].plain_bytes)

    def _unnamed(self) -> set[bytes]:
        """The parts that no recipe names: bases of others as a rule. `verify` reads them alone."""
        return self._kept.keys() - self._named

    def _check_blobs(self, max_decoded_bytes: int | None) -> None:
        head, name = self.file.head, self.file.source.name
        plain = sum(blob.size_bytes for blob in self.blobs)
        if (head.blobs, head.plain_bytes, head.parts) != (len(self.blobs), plain, len(self._kept)):
            raise MalformedError("it holds other blobs or parts than its head says", source=name)
        most = max_decoded_bytes
        if most is None:
            share = MAX_DECODED_SHARE * self.file.source.size_bytes
            most = max(MIN_DECODED_LIMIT_BYTES, share)
        asked = max(plain, self._decoded_bytes)
        if asked > most:
            raise LimitError(
                f"reading what it holds decodes {asked} bytes, at most {most} are accepted",
                source=name,
                hint="Raise the limit if you know where the file is from",
            )

    def is_recipe(self, digest: Digest) -> bool:
        """Whether the blob is kept as a recipe, not raw."""
        return self.file.objects.exists(recipe_key(digest))

    def recipe(self, digest: Digest) -> Recipe:
        """The recipe of a blob."""
        key = recipe_key(digest)
        data = self.file.read(key, MAX_OBJECT_BYTES)
        with self._blaming(key):
            return parse_recipe(data, digest)

    def sketches(self, blob: Blob) -> bytes | None:
        """The sketches of a blob, as they are to be kept; None if it has none.

        Raises:
            UntrustedDataError: they cannot be of that blob.
        """
        key = sketch_key(blob.digest)
        if not self.file.objects.exists(key):
            return None
        data = self.file.read(key, MAX_OBJECT_BYTES)
        with self._blaming(key):
            for sketch in parse_sketches(data, blob.digest):
                span, dtype = sketch.span, sketch.dtype
                elements = span.size_bytes // dtype.block_bytes * dtype.block_elements
                fits = span.stop <= blob.size_bytes and sketch.elements == elements
                if not fits or not can_sketch(dtype, span.size_bytes):
                    raise IntegrityError("a sketch is of no tensor that the blob can have")
                if not np.isfinite(sketch.values).all():
                    raise IntegrityError("a sketch has values that none has")
        return data

    def needed(self, recipe: Recipe) -> list[tuple[bytes, int]]:
        """The parts of a recipe and those they are made from, each with its depth, bases first."""
        found = closure((part.digest for part in recipe.parts()), self._bases)
        return sorted(((d, self._kept[d].depth) for d in found), key=lambda pair: pair[1])

    def part(self, digest: bytes) -> Encoded:
        """A part as it is kept, when its plain bytes were found to be right.

        Raises:
            MalformedError: they are not.
        """
        kept = self._kept[digest]
        key = pack_key(kept.place.pack_id)
        with self._blaming(key), self.file.objects.open(key) as pack:
            encoded = read_encoded(pack, kept.place.offset, kept.place.stored_bytes, digest)
            self._parts.read(Part(digest, kept.plain_bytes))
        return encoded

    def open(self, blob: Blob) -> BlobReader:
        """A blob to read; whoever reads it whole compares its SHA-256."""
        if self.is_recipe(blob.digest):
            return RecipeReader(self.recipe(blob.digest), self._parts)
        return RawReader(blob, self.file.objects.open(raw_key(blob.digest)))

    def verify(self, progress: Callable[[int], None]) -> None:
        """Read every blob, and every part that none names; `progress` gets plain bytes.

        Raises:
            MalformedError: one is not what its name says.
        """
        for blob in self.blobs:
            is_recipe = self.is_recipe(blob.digest)
            key = (recipe_key if is_recipe else raw_key)(blob.digest)
            with self._blaming(key), self.open(blob) as reader:
                check_whole(reader)
            if is_recipe:
                self.sketches(blob)
            progress(blob.size_bytes)
        for digest in self._unnamed():
            self.part(digest)

    @contextmanager
    def _blaming(self, key: str) -> Iterator[None]:
        """What is wrong within is wrong with this member."""
        try:
            yield
        except (IntegrityError, NamingError) as error:
            raise self.file.malformed(error, key) from None
