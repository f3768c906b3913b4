"""Sends checkpoints to a hub or a store while training goes on, in a process of its own.

`cairn run push` does it: sending and finding differences take the processor and Python's lock, and
in another process neither training nor its writer waits for them. Whatever becomes of it, the
checkpoints in the folder are there.
"""

import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path

from cairn.domain import RunStatus
from cairn.errors import RequestError, UnavailableError
from cairn.formats.training_record import RECORD, step_of
from cairn.formats.training_run import PUSHED, RUN

FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
_NOT_THERE = 3  # the exit code of NotFoundError
# -P: nothing in the folder that is trained in is imported, as with the command itself.
_CAIRN = ("-P", "-c", "from cairn.cli.main import main; main()")


class Pushing:
    """At most one push at a time; what is saved meanwhile goes with the next."""

    def __init__(self, folder: Path, place: str) -> None:
        """`place`: `org/name`, `hub:org/name` or `store:FOLDER/NAME`.

        Raises:
            RequestError: it is empty.
        """
        if not place:
            raise RequestError("push names no place: org/name or store:FOLDER/NAME")
        self.place = place
        self._folder = folder
        self._sent = _sent_before(folder, place)
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._abandoned = False
        self._failure = ""
        self._thread = threading.Thread(target=self._work, name="cairn-push", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> list[int]:
        """The steps that are kept here and not there, as far as this process knows; in order."""
        return sorted(step for step, name in _steps(self._folder) if name not in self._sent)

    def want(self) -> None:
        """Something was saved: send it when nothing is being sent. Returns at once."""
        self._wanted.set()

    def close(self, status: RunStatus) -> None:
        """Send the rest and wait for it, once; after an interruption or a failure wait for nothing.

        What stays behind is warned of; nothing is raised.
        """
        if status is not RunStatus.ENDED:
            self._abandoned = True
        self._ending.set()
        self._wanted.set()
        if self._abandoned:
            self._start(subprocess.DEVNULL)  # goes on by itself when this process is gone
            return
        self._thread.join()

    def _work(self) -> None:
        pause = FIRST_RETRY_S
        waits: float | None = None
        while True:
            self._wanted.wait(waits)
            self._wanted.clear()
            is_last = self._ending.is_set()
            if self._abandoned:
                return
            if self._push(is_last=is_last):
                pause, waits = FIRST_RETRY_S, None
            else:
                waits, pause = pause, min(2 * pause, LONGEST_RETRY_S)
            if is_last:
                return

    def _push(self, *, is_last: bool) -> bool:
        """One try; what went wrong is warned of when it is new."""
        try:
            process = self._start(subprocess.PIPE)
        except OSError as error:
            return self._failed(str(error), is_last=is_last)
        output, errors = process.communicate()
        if process.returncode:
            return self._failed(_last_line(errors, process.returncode), is_last=is_last)
        self._sent |= set(json.loads(output)["sent"])
        self._failure = ""
        return True

    def _start(self, answers: int) -> "subprocess.Popen[str]":
        words = ("run", "push", str(self._folder), self.place, "--background", "--json")
        return subprocess.Popen(  # noqa: S603 - Cairn itself
            (sys.executable, *_CAIRN, *words),
            stdin=subprocess.DEVNULL,
            stdout=answers,
            stderr=answers,
            text=True,
            start_new_session=True,  # Ctrl-C is for the training
        )

    def _failed(self, why: str, *, is_last: bool) -> bool:
        if why != self._failure or is_last:
            self._failure = why
            steps = ", ".join(map(str, self.behind)) or "none"
            again = (
                f"`cairn run push {self._folder} {self.place}` sends them"
                if is_last
                else "tried again by and by"
            )
            warnings.warn(
                f"{self.place} has not got the checkpoints of steps {steps}: {why}; they are in"
                f" {self._folder}, {again}",
                stacklevel=2,
            )
        return False


def fetch_begun(folder: Path, place: str) -> None:
    """Fetch what a place has of a run into a folder that has nothing of one.

    Raises:
        UnavailableError: the place cannot be asked, so nobody knows whether the run began.
    """
    if (folder / RUN).exists() or (folder.is_dir() and _steps(folder)):
        return
    words = ("run", "fetch", place, str(folder), "--json")
    done = subprocess.run(  # noqa: S603 - Cairn itself
        (sys.executable, *_CAIRN, *words), capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, _NOT_THERE):
        raise UnavailableError(
            f"{_last_line(done.stderr, done.returncode)}: whether the run began already is not"
            f" known; try again, or begin without push and send it later"
        )


def _sent_before(folder: Path, place: str) -> set[str]:
    """What earlier processes sent, for words alone: the command looks for itself."""
    try:
        said = json.loads((folder / PUSHED).read_bytes())
        return {*said.get(place, ()), *said.get(f"hub:{place}", ())}
    except (OSError, ValueError, AttributeError, TypeError):
        return set()


def _last_line(errors: str, code: int) -> str:
    lines = errors.strip().splitlines() or [f"exit code {code}"]
    return lines[-1].removeprefix("error: ")


def _steps(folder: Path) -> list[tuple[int, str]]:
    found = []
    for path in folder.iterdir():
        named = step_of(path.name)
        if named is not None and (path / RECORD).is_file():
            found.append((named[0], path.name))
    return found
