"""Writes blobs as they are kept, with all that they are made from, to a family file.

Runs under the maintenance lock: nothing is rewritten or removed meanwhile. Nothing is decoded or
encoded either: parts go as they lie, after a look at their checksums.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cairn.domain import Blob, Digest
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import read_all
from cairn.store.chains import depths_of
from cairn.store.family_contents import MAX_OBJECT_BYTES
from cairn.store.family_file import BLOCK_BYTES, HEAD_KEY, FamilyHead, FamilyWriter, Progress, Write
from cairn.store.format_mark import FORMAT_KEY
from cairn.store.holdings import load_blob, load_recipe
from cairn.store.keys import damaged_key, pack_key, raw_key, recipe_key, sketch_key
from cairn.store.names import NamedBlob, encode_name, name_key
from cairn.store.needed import bases_of, closure
from cairn.store.pack_index import PackIndex, load_indexes
from cairn.store.packs import RECORD_HEAD_BYTES, Encoded, PackDraft, read_encoded

# A pack is made in memory before it is written, because the tar's header needs its id.
PACK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The records of one pack that are needed, in the order in which they lie."""

    pack_id: str
    rows: npt.NDArray[np.void]


class Export:
    """What a family file will hold of a store; made and written while the lock is held."""

    def __init__(self, backend: Backend, digests: Iterable[Digest]) -> None:
        """Read the index of every pack and the recipes; takes some 300 bytes of memory per part.

        Raises:
            BlobNotFoundError: the store does not hold one of the blobs.
            IntegrityError: one is damaged, or a part it needs is lost.
        """
        self._backend = backend
        self._blobs = [self._sound(digest) for digest in sorted(set(digests))]
        indexes = load_indexes(backend)
        bases = bases_of(list(indexes.values()))
        needed = closure(self._named(), bases)
        self._depths = _depths({d: bases[d] for d in needed if d in bases})
        self._chosen = list(_chosen(indexes, needed))
        parts = sum(len(chosen.rows) for chosen in self._chosen)
        if parts != len(needed):
            raise IntegrityError(
                f"{len(needed) - parts} parts are in no readable pack: run `cairn store verify`"
            )
        plain = sum(blob.size_bytes for blob in self._blobs)
        self.head = FamilyHead(len(self._blobs), plain, parts, self._stored_bytes())

    def _sound(self, digest: Digest) -> Blob:
        if self._backend.exists(damaged_key(digest)):
            raise IntegrityError(f"blob {digest} is damaged: run `cairn store verify`")
        return load_blob(self._backend, digest)

    def _is_recipe(self, blob: Blob) -> bool:
        return self._backend.exists(recipe_key(blob.digest))

    def _named(self) -> set[bytes]:
        recipes = (load_recipe(self._backend, b.digest) for b in self._blobs if self._is_recipe(b))
        return {part.digest for recipe in recipes for part in recipe.parts()}

    def _stored_bytes(self) -> int:
        parts = sum(
            int(chosen.rows["stored"].sum(dtype=np.int64)) + RECORD_HEAD_BYTES * len(chosen.rows)
            for chosen in self._chosen
        )
        keys = [key for blob in self._blobs for key in self._object_keys(blob)]
        return parts + sum(self._backend.info(key).size_bytes for key in keys)

    def _object_keys(self, blob: Blob) -> Iterator[str]:
        if not self._is_recipe(blob):
            yield raw_key(blob.digest)
            return
        yield recipe_key(blob.digest)
        key = sketch_key(blob.digest)
        if self._backend.exists(key) and self._backend.info(key).size_bytes <= MAX_OBJECT_BYTES:
            yield key

    def write(
        self,
        write: Write,
        progress: Progress,
        *,
        names: Iterable[NamedBlob] = (),
        repos: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """Write the whole file; `progress` gets bytes of the `stored_bytes` of the head.

        `names` go along, and `repos`: members below `repos/`, a key and its bytes each.

        Raises:
            IntegrityError: a part is damaged; what was written has no end.
        """
        writer = FamilyWriter(write)
        writer.add_bytes(HEAD_KEY, self.head.encode())
        writer.add_bytes(FORMAT_KEY, read_all(self._backend, FORMAT_KEY))
        for named in names:
            writer.add_bytes(name_key(named.name), encode_name(named))
        for key, data in repos:
            writer.add_bytes(key, data)
        self._write_packs(writer, progress)
        for blob in self._blobs:
            for key in self._object_keys(blob):
                size = self._backend.info(key).size_bytes
                writer.add(key, size, self._blocks(key, progress))
        writer.finish()

    def _write_packs(self, writer: FamilyWriter, progress: Progress) -> None:
        buffer = _Buffer()
        pack = PackDraft(buffer)
        for part in self._parts():
            pack.append(part)
            progress(RECORD_HEAD_BYTES + len(part.stored))
            if buffer.size_bytes >= PACK_BYTES:
                writer.add_bytes(pack_key(pack.finish().id), memoryview(buffer.data))
                buffer = _Buffer()
                pack = PackDraft(buffer)
        sealed = pack.finish()
        if sealed.records:
            writer.add_bytes(pack_key(sealed.id), memoryview(buffer.data))

    def _parts(self) -> Iterator[Encoded]:
        """The records in the order in which they lie, with depths that bases from here have."""
        for chosen in self._chosen:
            try:
                with self._backend.open(pack_key(chosen.pack_id)) as pack:
                    for row in chosen.rows:
                        digest = row["digest"].tobytes()
                        at, length = int(row["offset"]), int(row["stored"])
                        part = read_encoded(pack, at, length, digest)
                        yield replace(part, depth=self._depths.get(digest, 0))
            except IntegrityError as error:
                raise IntegrityError(
                    f"pack {chosen.pack_id}: {error}: run `cairn store verify`"
                ) from None

    def _blocks(self, key: str, progress: Progress) -> Iterator[bytes]:
        try:
            with self._backend.open(key) as stored:
                for at in range(0, stored.size_bytes, BLOCK_BYTES):
                    block = stored.read_at(at, BLOCK_BYTES)
                    progress(len(block))
                    yield block
        except ObjectNotFoundError:
            raise UnavailableError(f"{key} was removed meanwhile: export again") from None


def _depths(bases: Mapping[bytes, tuple[bytes, ...]]) -> dict[bytes, int]:
    try:
        return depths_of(bases)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error}, which no import accepts: `cairn store remake --max-depth` makes it shallower"
        ) from None


class _Buffer:
    """A pack in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def write(self, data: bytes | memoryview) -> None:
        self.data += data

    def sync(self) -> None:
        """Memory is all it is."""


def _chosen(indexes: Mapping[str, PackIndex], needed: set[bytes]) -> Iterator[_Chosen]:
    """Of each needed part the record that counts: that of the first pack that has it."""
    missing = set(needed)
    for pack_id, index in indexes.items():
        own = index.digests()
        wanted = np.fromiter((digest in missing for digest in own), bool, len(own))
        if wanted.any():
            yield _Chosen(pack_id, np.sort(index.entries[wanted], order="offset"))
            missing.difference_update(own)
