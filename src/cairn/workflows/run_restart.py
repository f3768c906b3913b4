"""Starts the program of a run again, as its record says: the one place that executes a record.

Nothing here happens when a run is read. A record may come from anybody, so whoever calls this
has asked its reader first.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.domain import RecipeKind, RunOrders, TrainingSession
from cairn.errors import EntryNotFoundError, RequestError
from cairn.formats.training_run import ORDERS, orders_text

_STDERR = 2
_MOST_PROCESSES = 1024
# -P: nothing in the folder it starts in is imported, as with the command itself.
_CAIRN = ("-P", "-c", "from cairn.cli.main import main; main()")


@dataclass(frozen=True, slots=True)
class Start:
    """A command, the folder it is started in, and variables beside those of this process."""

    command: Sequence[str]
    directory: Path
    variables: Mapping[str, str]


def working_folder(folder: Path, session: TrainingSession) -> Path:
    """Where the program of a session was started, seen from where its run lies now."""
    return Path(os.path.normpath(folder.resolve() / session.recipe.directory))


def start_of(
    session: TrainingSession,
    directory: Path,
    *,
    into: Path,
    step: int | None = None,
    allow: Sequence[str] = (),
    until: int | None = None,
) -> Start:
    """How the program of a session is started in `directory`, its run being written `into`.

    Where several processes trained, torchrun starts as many, all on this machine, and each with as
    many threads. See `RunOrders` for `step`, `allow` and `until`.

    Raises:
        RequestError: it was typed in.
        EntryNotFoundError: the folder or the script is not there.
    """
    recipe = session.recipe
    if recipe.kind is RecipeKind.TYPED_IN or not recipe.arguments:
        raise RequestError("the run was typed in, in a notebook for example: there is no program")
    if not directory.is_dir():
        raise EntryNotFoundError(
            f"{directory}, where the program was started, is not there: name its folder here with"
            " --directory"
        )
    if recipe.kind is RecipeKind.SCRIPT and not (directory / recipe.program).is_file():
        raise EntryNotFoundError(
            f"{recipe.program} is not in {directory}: name the folder of the program with"
            " --directory"
        )
    first = _CAIRN if recipe.kind is RecipeKind.BUILTIN else ()
    orders = RunOrders(
        str(directory.resolve() / recipe.folder), str(into.resolve()), step, tuple(allow), until
    )
    launcher, variables = _launcher(session)
    return Start(
        (*launcher, sys.executable, *first, *recipe.arguments),
        directory,
        {ORDERS: orders_text(orders), **variables},
    )


def _launcher(session: TrainingSession) -> tuple[Sequence[str], Mapping[str, str]]:
    """What starts as many processes as trained: https://docs.pytorch.org/docs/stable/elastic/run.html.

    Without another word torchrun gives each of them one thread, and another number adds otherwise.
    """
    processes, threads = (session.environment.get(name) for name in ("processes", "threads"))
    if not isinstance(processes, int) or processes < 2:
        return (), {}
    if processes > _MOST_PROCESSES:
        raise RequestError(f"{processes:,} processes trained: that is more than one machine starts")
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    variables = {"OMP_NUM_THREADS": str(threads)} if isinstance(threads, int) else {}
    return (sys.executable, *torchrun, "--no-python"), variables


def execute(start: Start, *, quiet: bool = False) -> int:
    """Run a command to its end, and give its exit code; what it prints goes where this prints.

    Ctrl-C reaches the program, as the terminal sends it to both; here it is waited for. `quiet`:
    what it prints goes to standard error.
    """
    before = signal.getsignal(signal.SIGINT)
    process = subprocess.Popen(  # noqa: S603 - the point of this module; its caller was asked
        start.command,
        cwd=start.directory,
        env={**os.environ, **start.variables},
        stdout=_STDERR if quiet else None,
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
        return code if code >= 0 else 128 - code  # of a signal, as shells have it
    finally:
        signal.signal(signal.SIGINT, before)
        if process.poll() is None:
            process.terminate()
            process.wait()
