"""The logs a person has checked before: the key they trust and the last head they saw.

One file for each log, named by the SHA-256 of its origin: the key, then the note.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError, IntegrityError, RequestError
from cairn.provenance.log.following import SignedHead
from cairn.provenance.log.notes import PublicKey


@dataclass(frozen=True, slots=True)
class Remembered:
    """A key that is trusted, and what it signed last."""

    key: PublicKey
    last: SignedHead


class RememberedLogs:
    """Logs by origin, in a folder of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, origin: str) -> Remembered | None:
        """What is remembered of a log; None if it was never checked.

        Raises:
            IntegrityError: the file was changed.
        """
        path = self._path(origin)
        try:
            line, _, note = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        try:
            key = PublicKey.parse(line.decode())
            return Remembered(key, SignedHead.of(note, key))
        except (CairnError, UnicodeDecodeError) as error:
            raise IntegrityError(
                f"{path}, which remembers the log {origin}, was changed ({error});"
                " remove it to trust the log anew"
            ) from None

    def trusted_key(self, origin: str, given: PublicKey | None) -> PublicKey:
        """The key to check a log with: the one given, or the one that was trusted before.

        Raises:
            RequestError: there is neither.
            IntegrityError: both, and they differ.
        """
        before = self.of(origin)
        if before is None:
            if given is None:
                raise RequestError(
                    f"the log {origin} was never checked here: say its key with --key; whoever"
                    " runs the hub reads it with `cairn log key`"
                )
            return given
        if given not in (None, before.key):
            raise IntegrityError(
                f"the log {origin} was checked with the key {before.key} before, not {given}: ask"
                f" why it changed; removing {self._path(origin)} trusts the new one"
            )
        return before.key

    def remember(self, key: PublicKey, head: SignedHead) -> None:
        """Trust a key, and take a head as the last one seen."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(head.head.origin)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with draft.open("wb") as file:
            file.write(f"{key}\n".encode() + head.note)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _path(self, origin: str) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()[:32]
