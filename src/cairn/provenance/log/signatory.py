"""Who signs the heads of a log: its private key and the last head it signed, in two files.

A log must never sign two heads of which the later does not begin with the earlier: whoever saw
both would rightly call it forged. So each new head is compared with the last one, which lies
beside the key and not in the database: a database put back from an older backup is found out.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from cairn.errors import CairnError, IntegrityError, UnavailableError
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.merkle import check_consistency
from cairn.provenance.log.notes import PrivateKey, PublicKey, open_note

_NAME_BYTES = 8
Prove = Callable[[int], Sequence[bytes]]


class Signatory:
    """Signs heads. The key is made when it is first asked for."""

    def __init__(self, key_file: Path, head_file: Path, name: str | None) -> None:
        """`name` is the origin of a log that begins; None: a random one."""
        self._key_file = key_file
        self._head_file = head_file
        self._name = name

    @property
    def public_key(self) -> PublicKey:
        """The key that people check heads with; its name is the log's origin.

        Raises:
            UnavailableError: the key can be neither read nor made.
        """
        return self._key.public

    def last_head(self) -> TreeHead | None:
        """The last head that was signed here; None before the first.

        Raises:
            IntegrityError: the file is not one that this key signed.
            UnavailableError: it cannot be read.
        """
        try:
            note = self._head_file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"cannot read {self._head_file}: {error.strerror}") from error
        try:
            return TreeHead.parse(open_note(note, [self.public_key]))
        except CairnError as error:
            raise IntegrityError(
                f"{self._head_file} is not the last head that this log's key signed ({error});"
                " nothing is signed until it is put back: see docs/security/log.md"
            ) from None

    def sign(self, size: int, root: bytes, last: TreeHead | None, prove: Prove) -> bytes:
        """The signed note of a head. `last` is `last_head()`, asked before size and root were read.

        `prove` gives the consistency proof from an older size to this one.

        Raises:
            IntegrityError: the tree does not begin with the one that was signed last.
            UnavailableError: key or head cannot be read or written.
        """
        if last is not None:
            proof = prove(last.size) if last.size <= size else ()
            try:
                check_consistency(last.size, last.root, size, root, proof)
            except IntegrityError as error:
                raise IntegrityError(
                    f"{error}. Was the database put back from a backup? Nothing is signed until"
                    " this is settled: see docs/security/log.md"
                ) from None
        note = self._key.sign(TreeHead(self.public_key.name, size, root).text).encode()
        if last is None or last.size < size:
            _replace(self._head_file, note)
        return note

    @cached_property
    def _key(self) -> PrivateKey:
        try:
            if not self._key_file.exists():
                _create(self._key_file, self._name)
            text = self._key_file.read_text()
        except OSError as error:
            raise UnavailableError(
                f"cannot use the log's key {self._key_file}: {error.strerror}"
            ) from error
        try:
            return PrivateKey.parse(text)
        except CairnError as error:
            raise UnavailableError(f"{self._key_file}: {error}; put the log's key back") from None


def _create(path: Path, name: str | None) -> None:
    """Two hubs may start at once: whoever links first wins, the other reads the winner's."""
    key = PrivateKey.new(name or f"cairn-{secrets.token_hex(_NAME_BYTES)}/log")
    draft = _write_beside(path, key.serialise().encode() + b"\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _replace(path: Path, content: bytes) -> None:
    try:
        _write_beside(path, content).replace(path)
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error


def _write_beside(path: Path, content: bytes) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(_NAME_BYTES)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
