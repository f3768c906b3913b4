"""Makes the best of what the store itself still holds of a blob that may be damaged."""

from collections.abc import Iterator
from typing import NoReturn

from cairn.domain import Blob, Digest
from cairn.errors import BlobNotFoundError, IntegrityError, UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes
from cairn.store.holdings import digests_under, load_recipe
from cairn.store.keys import DAMAGED, RAW, damaged_key, raw_key, recipe_key, settled_key
from cairn.store.locks import Locks
from cairn.store.optimizing import check_whole
from cairn.store.parts import PartStore
from cairn.store.reading import RawReader, RecipeReader
from cairn.store.recipes import Recipe


class Mending:
    """The mending of one store."""

    def __init__(self, backend: Backend, locks: Locks, parts: PartStore) -> None:
        self._backend = backend
        self._locks = locks
        self._parts = parts

    def suspects(self) -> Iterator[Digest]:
        """Blobs found damaged before, and those in two forms: somebody's work was cut short."""
        for digest, _ in digests_under(self._backend, DAMAGED):
            yield digest
        for digest, _ in digests_under(self._backend, RAW):
            if not self._is_marked(digest) and self._backend.exists(recipe_key(digest)):
                yield digest

    def mend(self, digest: Digest) -> None:
        """Keep only those forms of a blob that read back whole; see `BlobStore.mend`."""
        problems: list[str] = []
        with self._locks.maintenance():
            is_raw = self._raw_is_whole(digest, problems)
            recipe = self._whole_recipe(digest, problems)
            if not is_raw and recipe is None:
                self._refuse(digest, problems)
            if recipe is None:
                self._backend.delete(recipe_key(digest))
            elif not is_raw:
                self._keep_recipe_alone(digest, recipe)
            self._backend.delete(damaged_key(digest))

    def _refuse(self, digest: Digest, problems: list[str]) -> NoReturn:
        if not problems:
            raise BlobNotFoundError(f"the store does not hold blob {digest}")
        put_bytes(self._backend, damaged_key(digest), b"")
        raise IntegrityError("; ".join(problems))

    def _is_marked(self, digest: Digest) -> bool:
        return self._backend.exists(damaged_key(digest))

    def _raw_is_whole(self, digest: Digest, problems: list[str]) -> bool:
        try:
            stored = self._backend.open(raw_key(digest))
            with RawReader(Blob(digest, stored.size_bytes), stored) as raw:
                check_whole(raw)
        except ObjectNotFoundError:
            return False
        except (IntegrityError, UnavailableError) as error:
            problems.append(str(error))
            return False
        return True

    def _whole_recipe(self, digest: Digest, problems: list[str]) -> Recipe | None:
        try:
            recipe = load_recipe(self._backend, digest)
            with RecipeReader(recipe, self._parts) as reader:
                check_whole(reader)
        except BlobNotFoundError:
            return None
        except (IntegrityError, UnavailableError) as error:
            problems.append(str(error))
            return None
        return recipe

    def _keep_recipe_alone(self, digest: Digest, recipe: Recipe) -> None:
        """Whoever wrote the recipe may have been killed before its packs were durable."""
        self._parts.make_durable(recipe)
        self._backend.touch(recipe_key(digest))
        self._backend.delete(raw_key(digest))
        self._backend.delete(settled_key(digest))
