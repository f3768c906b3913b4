"""Who signs the heads of a log: its private key and the last head it signed, in two files.

A log must never sign two heads of which the later does not begin with the earlier: whoever saw
both would rightly call it forged. So each new head is compared with the last one, which lies
beside the key and not in the database: a database put back from an older backup is found out.

The file of the key has the private key in its first line, and behind it what tells others which
keys the log had before (`log_keys`). It is replaced in one step, so a key never signs unannounced.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError, IntegrityError, UnavailableError
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.log_keys import Handover, LogKeys, serialise
from cairn.provenance.log.merkle import check_consistency
from cairn.provenance.log.notes import PrivateKey, PublicKey
from cairn.provenance.log.proofs import LogProof

_NAME_BYTES = 8
Prove = Callable[[int], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Announced:
    """An entry that names a new key: its number and path in a tree of `size` entries."""

    entry: bytes
    number: int
    path: tuple[bytes, ...]
    size: int
    root: bytes
    prove: Prove


@dataclass(frozen=True, slots=True)
class _KeyFile:
    private: PrivateKey
    handovers: bytes


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
        return self._read().private.public

    def handovers(self) -> bytes:
        """What leads from the keys that signed before to this one, for whoever follows the log.

        Raises:
            UnavailableError: the key cannot be read.
        """
        return self._read().handovers

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
            file = self._read()
            return LogKeys.believing(file.private.public, file.handovers).head(note)
        except CairnError as error:
            raise IntegrityError(
                f"{self._head_file} is not the last head that this log's key signed ({error});"
                " nothing is signed until it is put back: see docs/security/log.md"
            ) from None

    def sign(self, size: int, root: bytes, last: TreeHead | None, prove: Prove) -> bytes | None:
        """The signed note of a head. `last` is `last_head()`, asked before size and root were read.

        None if a larger head was signed meanwhile: size and root have to be read anew.
        `prove` gives the consistency proof from an older size to this one.

        Raises:
            IntegrityError: the tree does not begin with the one that was signed last.
            UnavailableError: key or head cannot be read or written.
        """
        _check(last, size, root, prove)
        with self._locked():
            newest = self.last_head()
            if newest is not None and newest.size > size:
                return None  # if it handed over, the key of now may not sign this one any more
            if newest != last:
                _check(newest, size, root, prove)
            key = self._read().private
            note = key.sign(TreeHead(key.name, size, root).text).encode()
            if newest is None or newest.size < size:
                _replace(self._head_file, note)
        return note

    def witnessed(self) -> bytes | None:
        """The note with the newest cosignatures of witnesses; None if none was kept.

        Raises:
            UnavailableError: it cannot be read.
        """
        try:
            return self._witnessed_file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(
                f"cannot read {self._witnessed_file}: {error.strerror}"
            ) from error

    def keep_witnessed(self, combine: Callable[[bytes | None], bytes | None]) -> None:
        """Keep a note with cosignatures that were checked, in place of the last.

        `combine` makes it of the last one, or gives None to leave that; meanwhile nobody else,
        in this process or another, keeps what a second witness said.

        Raises:
            UnavailableError: it cannot be read or written.
        """
        with self._locked():
            note = combine(self.witnessed())
            if note is not None:
                _replace(self._witnessed_file, note)

    @property
    def _witnessed_file(self) -> Path:
        return self._head_file.with_name("log-witnessed")

    def hand_over(self, announce: Callable[[PublicKey, PublicKey], Announced]) -> PublicKey:
        """Make a new key that signs from now on, and remove the old one.

        `announce` gets both, has the log say so, and gives what proves it. A kill at any moment
        leaves the old key or the new one in force.

        Raises:
            IntegrityError: the tree does not begin with the one that was signed last.
            UnavailableError: key or head cannot be read or written.
        """
        with self._locked():
            last, file = self.last_head(), self._read()
            old, new = file.private, PrivateKey.new(file.private.name)
            told = announce(old.public, new.public)
            _check(last, told.size, told.root, told.prove)
            text = TreeHead(old.name, told.size, told.root).text
            note = (old.sign(text) + new.signature(text)).encode()
            proof = LogProof(told.entry, None, told.number, told.path, note)
            Handover.of(proof)  # what others will check
            _replace(self._head_file, note)
            lines = new.serialise().encode() + b"\n" + file.handovers + serialise([proof])
            _replace(self._key_file, lines)
            return new.public

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else signs or keeps cosignatures: the last head only grows, a key that is replaced
        signs no more, and no witness is forgotten for another.
        """
        try:
            descriptor = os.open(
                self._head_file.with_name("log-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise UnavailableError(f"cannot lock the log's key: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> _KeyFile:
        """Anew each time: another process may have handed over."""
        try:
            if not self._key_file.exists():
                _create(self._key_file, self._name)
            text = self._key_file.read_text()
        except OSError as error:
            raise UnavailableError(
                f"cannot use the log's key {self._key_file}: {error.strerror}"
            ) from error
        try:
            line, _, handovers = text.partition("\n")
            return _KeyFile(PrivateKey.parse(line), handovers.encode())
        except CairnError as error:
            raise UnavailableError(f"{self._key_file}: {error}; put the log's key back") from None


def _check(last: TreeHead | None, size: int, root: bytes, prove: Prove) -> None:
    if last is None:
        return
    proof = prove(last.size) if last.size <= size else ()
    try:
        check_consistency(last.size, last.root, size, root, proof)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error}. Was the database put back from a backup? Nothing is signed until"
            " this is settled: see docs/security/log.md"
        ) from None


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
