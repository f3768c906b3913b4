"""Which training runs this person began on this machine, so that their commands may run again.

The record of a run names commands, and a folder may come from anywhere. A seal is an HMAC over
all of the commands, under a key that lies in the person's own state folder and goes nowhere.
"""

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cairn.domain import RunRecord
from cairn.provenance.state_folder import user_state_folder

SEAL = ".run.seal"
_KEY = "run.key"
_KEY_BYTES = 32


def write_seal(folder: Path, run: RunRecord) -> None:
    """Seal the run in a folder; without a place for the key it stays unsealed."""
    with suppress(OSError, RuntimeError):  # nobody has a home
        (folder / SEAL).write_text(_seal(run, _key()))


def is_own(folder: Path, run: RunRecord) -> bool:
    """Whether this person, on this machine, began every session of the run."""
    try:
        found = (folder / SEAL).read_text()
        return hmac.compare_digest(found, _seal(run, _key()))
    except (OSError, RuntimeError, ValueError, TypeError):  # none, or no text of a seal
        return False


def _seal(run: RunRecord, key: bytes) -> str:
    commands = [
        [r.kind.value, r.program, str(r.digest), list(r.arguments), r.directory, r.folder]
        for r in (session.recipe for session in run.sessions)
    ]
    return hmac.new(key, json.dumps([run.id, commands]).encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    path = user_state_folder() / _KEY
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{_KEY}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()
    return path.read_bytes()
