"""Which blobs a store has, and the recipe and size of each."""

from collections.abc import Iterator

from cairn.domain import Blob, Digest
from cairn.errors import BlobNotFoundError, NamingError
from cairn.store.backends import Backend, ObjectInfo, ObjectNotFoundError
from cairn.store.backends.base import read_all
from cairn.store.keys import RAW, RECIPES, digest_of_key, raw_key, recipe_key
from cairn.store.recipes import HEAD_BYTES, Recipe, blob_of_head, parse_recipe


def digests_under(backend: Backend, prefix: str) -> Iterator[tuple[Digest, ObjectInfo]]:
    """The blobs that have an object under `raw/`, `recipes/` or `settled/`."""
    for info in backend.list(prefix):
        try:
            yield digest_of_key(info.key), info
        except NamingError:
            continue  # not ours: somebody put a file there


def known_digests(backend: Backend) -> Iterator[Digest]:
    """Every blob of the store, once."""
    raw = set()
    for digest, _ in digests_under(backend, RAW):
        raw.add(digest.raw)
        yield digest
    for digest, _ in digests_under(backend, RECIPES):
        if digest.raw not in raw:
            yield digest


def load_recipe(backend: Backend, digest: Digest) -> Recipe:
    """The recipe of a blob.

    Raises:
        BlobNotFoundError: it has none.
        IntegrityError: the recipe is damaged.
    """
    try:
        return parse_recipe(read_all(backend, recipe_key(digest)), digest)
    except ObjectNotFoundError:
        raise BlobNotFoundError(f"the store does not hold blob {digest}") from None


def load_blob(backend: Backend, digest: Digest) -> Blob:
    """The size of a blob, from its raw object or the head of its recipe.

    Raises:
        BlobNotFoundError: the store does not hold it.
        IntegrityError: the recipe's head is damaged.
    """
    try:
        return Blob(digest, backend.info(raw_key(digest)).size_bytes)
    except ObjectNotFoundError:
        pass
    try:
        with backend.open(recipe_key(digest)) as recipe:
            return blob_of_head(recipe.read_at(0, HEAD_BYTES), digest)
    except ObjectNotFoundError:
        raise BlobNotFoundError(f"the store does not hold blob {digest}") from None
