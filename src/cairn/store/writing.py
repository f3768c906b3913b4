"""Takes new blobs in: hashed while they are written, durable before they are acknowledged."""

import hashlib
from types import TracebackType
from typing import Self

from cairn.domain import Blob, Digest
from cairn.errors import BlobNotFoundError, IntegrityError, RequestError, UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.holdings import load_recipe
from cairn.store.keys import damaged_key, raw_key, recipe_key
from cairn.store.locks import Locks


class BlobWriter:
    """One upload: write, then finish. Leaving the context without finish discards it.

    Not thread-safe: one writer belongs to one upload.
    """

    def __init__(self, backend: Backend, locks: Locks) -> None:
        self._backend = backend
        self._locks = locks
        self._draft = backend.draft()
        self._hash = hashlib.sha256()
        self._finished = False

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._draft.size_bytes

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; blocks of 64 KiB and more keep other threads running.

        Raises:
            UnavailableError: the disk is full or failing.
        """
        if self._finished:
            raise RequestError("this upload is finished: open another writer")
        self._hash.update(data)
        self._draft.write(data)

    def finish(self, expected: Digest | None = None) -> Blob:
        """Keep the blob; durable when this returns. Does nothing new for a blob already kept.

        Raises:
            IntegrityError: the bytes do not have the digest `expected`; nothing is kept.
            UnavailableError: the disk is full or failing.
        """
        if self._finished:
            raise RequestError("this upload is finished: open another writer")
        self._finished = True
        blob = Blob(Digest.sha256(self._hash.hexdigest()), self._draft.size_bytes)
        try:
            if expected is not None and expected != blob.digest:
                raise IntegrityError(
                    f"received {blob.size_bytes} bytes with {blob.digest}, expected {expected}."
                    " The upload was damaged on its way or names the wrong file: send it again"
                )
            self._keep(blob)
        finally:
            self._draft.discard()
        return blob

    def _keep(self, blob: Blob) -> None:
        if self._wanted_again(blob):
            return
        self._draft.sync()  # takes long, so before the lock
        with self._locks.adding():
            if self._touch(blob):
                return
            key = raw_key(blob.digest)
            if self._backend.exists(key):
                self._draft.replace(key)  # damaged: these bytes are known to be right
            else:
                self._draft.keep(key)
            self._backend.delete(damaged_key(blob.digest))

    def _wanted_again(self, blob: Blob) -> bool:
        with self._locks.adding():
            return self._touch(blob)

    def _touch(self, blob: Blob) -> bool:
        """Restart the grace period of a blob that is here and not known to be damaged."""
        key = raw_key(blob.digest)
        if self._backend.exists(damaged_key(blob.digest)):
            return False
        try:
            if self._backend.info(key).size_bytes == blob.size_bytes:
                return self._backend.touch(key)
        except ObjectNotFoundError:
            return self._has_recipe(blob) and self._backend.touch(recipe_key(blob.digest))
        return False

    def _has_recipe(self, blob: Blob) -> bool:
        """Whether there is a sound one: these bytes are not dropped for a broken one."""
        try:
            load_recipe(self._backend, blob.digest)
        except (BlobNotFoundError, IntegrityError, UnavailableError):
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finished = True
        self._draft.discard()
