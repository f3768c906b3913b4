"""Takes the blobs of a family file into a store; runs under the maintenance lock.

Order of events, each durable before the next: packs of parts that were each found to be what their
digest says, sketches, recipes through which the whole blob was read back. A kill leaves blobs
that are right, and parts that nothing needs; the next run goes on from there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cairn.domain import Blob
from cairn.errors import IntegrityError
from cairn.store.backends import Backend
from cairn.store.backends.base import replace_bytes
from cairn.store.family_contents import FamilyContents
from cairn.store.keys import damaged_key, raw_key, recipe_key, sketch_key
from cairn.store.locks import Locks
from cairn.store.optimizing import check_whole
from cairn.store.parts import Packing, PartStore
from cairn.store.precedence import wait_until_newest
from cairn.store.reading import RecipeReader
from cairn.store.recipes import Recipe
from cairn.store.writing import BlobWriter

# Blobs whose parts go to packs together, before they are read back: packs of some size come of it,
# and a killed run loses no more.
BATCH_PLAIN_BYTES = 1 << 30
BATCH_BLOBS = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many blobs a file holds, how many of them are new here, and the bytes they took."""

    blobs: int
    new_blobs: int
    plain_bytes: int
    written_bytes: int


class Import:
    """One family on its way in."""

    def __init__(
        self,
        backend: Backend,
        locks: Locks,
        parts: PartStore,
        family: FamilyContents,
        progress: Callable[[int], None],
    ) -> None:
        self._backend = backend
        self._locks = locks
        self._parts = parts
        self._family = family
        self._progress = progress
        self._here: set[bytes] = set()  # parts seen to in this run
        self._new = self._written = 0

    def run(self) -> Imported:
        """Take in every blob; `progress` gets their plain bytes.

        Raises:
            MalformedError: a blob or part is not what its digest says; those before it are in.
            UnavailableError: the disk is full or failing, or the clock was set back.
        """
        self._parts.index.refresh()
        for batch in _batches(self._family.blobs):
            recipes = []
            for blob in batch:
                if self._is_here(blob):
                    self._progress(blob.size_bytes)
                elif self._family.is_recipe(blob.digest):
                    recipes.append(self._family.recipe(blob.digest))
                else:
                    self._take_raw(blob)
            self._take_recipes(recipes)
        plain = sum(blob.size_bytes for blob in self._family.blobs)
        return Imported(len(self._family.blobs), self._new, plain, self._written)

    def _is_here(self, blob: Blob) -> bool:
        keys = raw_key(blob.digest), recipe_key(blob.digest)
        here = any(map(self._backend.exists, keys))
        return here and not self._backend.exists(damaged_key(blob.digest))

    def _take_raw(self, blob: Blob) -> None:
        with BlobWriter(self._backend, self._locks) as writer, self._family.open(blob) as reader:
            for block in reader.stream():
                writer.write(block)
                self._progress(len(block))
            try:
                writer.finish(blob.digest)
            except IntegrityError as error:
                raise self._family.file.malformed(error, raw_key(blob.digest)) from None
        self._new += 1
        self._written += blob.size_bytes

    def _take_recipes(self, recipes: list[Recipe]) -> None:
        with self._parts.packing() as packing:
            for recipe in recipes:
                self._take_parts(recipe, packing)
            packing.seal()
        self._count(packing)
        for recipe in recipes:
            if not packing.sealed:  # all parts were here: left, perhaps, by a run that was killed
                self._parts.make_durable(recipe)
            self._acknowledge(recipe)
            self._progress(recipe.blob.size_bytes)

    def _take_parts(self, recipe: Recipe, packing: Packing) -> None:
        """Add the parts that are not here, or only deeper than those made from them may need."""
        for digest, depth in self._family.needed(recipe):
            if digest in self._here:
                continue
            self._here.add(digest)
            if self._parts.lasting_depth(digest, below=depth + 1) is None:
                if self._parts.kept(digest) is not None:  # the record from the file has to count
                    wait_until_newest(self._parts.index.newest_s())
                packing.add(self._family.part(digest))

    def _acknowledge(self, recipe: Recipe) -> None:
        blob = recipe.blob
        try:
            check_whole(RecipeReader(recipe, self._parts))
        except IntegrityError:
            self._take_anew(recipe)
        sketches = self._family.sketches(blob)
        if sketches is not None:
            self._keep(sketch_key(blob.digest), sketches)
        self._keep(recipe_key(blob.digest), recipe.encode())
        self._backend.delete(damaged_key(blob.digest))
        self._new += 1

    def _take_anew(self, recipe: Recipe) -> None:
        """A part that was here is damaged: written again it heals every blob that has it."""
        with self._parts.packing() as packing:
            for digest, _ in self._family.needed(recipe):
                packing.add(self._family.part(digest))
            packing.seal()
        self._count(packing)
        try:
            check_whole(RecipeReader(recipe, self._parts))
        except IntegrityError as error:
            raise self._family.file.malformed(error, recipe_key(recipe.blob.digest)) from None

    def _keep(self, key: str, data: bytes) -> None:
        replace_bytes(self._backend, key, data)
        self._written += len(data)

    def _count(self, packing: Packing) -> None:
        self._written += sum(pack.size_bytes for pack in packing.sealed)


def _batches(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    batch: list[Blob] = []
    size = 0
    for blob in blobs:
        batch.append(blob)
        size += blob.size_bytes
        if size >= BATCH_PLAIN_BYTES or len(batch) >= BATCH_BLOBS:
            yield batch
            batch, size = [], 0
    yield batch
