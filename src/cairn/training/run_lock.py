"""One process at a time writes a run: a lock on a file of its folder, free when the process ends.

The file has the number of the process that holds it, for messages.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from cairn.errors import ConflictError, UnavailableError
from cairn.formats.training_run import LOCK

_PATIENCE_S = 0.3  # whoever lists runs holds the lock for an instant to see whether it is free


class RunLock:
    """The right to write a run."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            ConflictError: another process has it. UnavailableError: the folder takes no file.
        """
        try:
            self._file: IO[str] = (folder / LOCK).open("a+")
        except OSError as error:
            raise UnavailableError(f"{folder} takes no files: {error}") from None
        if not self._take():
            self._file.seek(0)
            holder = self._file.read(20).strip() or "unknown"
            self._file.close()
            if holder == str(os.getpid()):
                raise ConflictError(f"the run in {folder} is open in this process: close it first")
            raise ConflictError(
                f"the run in {folder} is being written by process {holder}: wait for its end or"
                " stop it, or give this run another folder"
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def _take(self) -> bool:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.02)
            else:
                return True

    def release(self) -> None:
        """Give it back; may be called twice."""
        self._file.close()
