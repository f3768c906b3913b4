"""The logs a person has checked before: the key they trust and the last head they saw.

Two files for each log, named by the SHA-256 of its origin: the key, then the note; and with `.keys`
the handovers that led from that key to others.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError, IntegrityError, RequestError
from cairn.provenance.log.following import SignedHead
from cairn.provenance.log.log_keys import LogKeys
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
        except (CairnError, UnicodeDecodeError) as error:
            raise self._changed(origin, error) from None
        keys = self._known(origin, key)
        try:
            return Remembered(key, SignedHead.of(note, keys))
        except CairnError as error:
            raise self._changed(origin, error) from None

    def _changed(self, origin: str, error: Exception) -> IntegrityError:
        keys = self._keys_path(origin)
        beside = f", or {keys} beside it" if keys.exists() else ""
        return IntegrityError(
            f"{self._path(origin)}, which remembers the log {origin}{beside}, was changed"
            f" ({error}); remove it to trust the log anew"
        )

    def keys(self, origin: str, given: PublicKey | None, told: bytes = b"") -> LogKeys:
        """The keys to check a log with: led from the one given, or the one trusted before.

        `told` are the handovers that the log tells of, which count if they lead to that key; those
        remembered are not forgotten for it.

        Raises:
            RequestError: there is neither key.
            IntegrityError: both, and no handover leads from one to the other.
            MalformedError, LimitError: what is told has another form.
        """
        trusted = self._trusted(origin, given)
        keys, known = LogKeys.believing(trusted, told), self._known(origin, trusted)
        if not keys.goes_on(known):
            keys = known
        before = self.of(origin)
        if before is not None and before.key not in keys.known:
            raise IntegrityError(
                f"the log {origin} was checked with the key {before.key} before, not {given}: ask"
                f" why it changed; removing {self._path(origin)} trusts the new one"
            )
        return keys

    def _trusted(self, origin: str, given: PublicKey | None) -> PublicKey:
        before = self.of(origin)
        if before is None:
            if given is None:
                raise RequestError(
                    f"the log {origin} was never checked here: say its key with --key; whoever"
                    " runs the hub reads it with `cairn log key`"
                )
            return given
        return before.key if given is None else given

    def remember(self, key: PublicKey, head: SignedHead, told: bytes = b"") -> None:
        """Trust a key and the handovers told of, and take a head as the last one seen.

        Handovers that do not lead to the key, or not on from those remembered, are not kept.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        origin = head.head.origin
        keys = LogKeys.believing(key, told)
        if keys.handovers and keys.goes_on(self._known(origin, key)):
            _write(self._keys_path(origin), told)
        _write(self._path(origin), f"{key}\n".encode() + head.note)

    def _known(self, origin: str, key: PublicKey) -> LogKeys:
        """A key with the handovers remembered, if they lead to it.

        Raises:
            IntegrityError: the file was changed.
        """
        path = self._keys_path(origin)
        try:
            return LogKeys.believing(key, path.read_bytes() if path.exists() else b"")
        except CairnError as error:
            raise IntegrityError(
                f"{path}, which remembers how the log {origin} changed its keys, was changed"
                f" ({error}); remove it, and the log is asked for them again"
            ) from None

    def _keys_path(self, origin: str) -> Path:
        return self._path(origin).with_suffix(".keys")

    def _path(self, origin: str) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
