"""A process that has imported the command line, and a copy of it for each command.

What a command imports takes longer than what most tests have it do. A copy has all of that,
and what makes a process one: its own arguments, environment, folder, files and exit code.
Run as a script it takes commands as JSON lines from standard input and answers each with
the exit code.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from select import select
from typing import IO

from tests.migrated import migrated, use_copies

ROOMS = ("cli", "bootstrap", "workflows", "scanner", "store", "formats", "provenance")
MOST_S = 240
"""One command may take so long on a machine with other work."""


class Forks:
    """The process that is copied, as the tests see it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forked"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._process.kill)

    def run(
        self, arguments: list[str], env: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command and wait for it.

        Raises:
            TimeoutError: it takes more than `MOST_S` seconds.
        """
        with tempfile.TemporaryDirectory(prefix="cairn-command.") as folder:
            files = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
            files[0].write_text(stdin)
            job = {
                "arguments": arguments,
                "env": dict(env),
                "folder": str(Path.cwd()),
                "files": list(map(str, files)),
            }
            ours, its = self._process.stdin, self._process.stdout
            assert ours is not None and its is not None
            print(json.dumps(job), file=ours, flush=True)
            if not select([its], [], [], MOST_S)[0]:
                self._process.kill()
                forks.cache_clear()
                raise TimeoutError(f"cairn {' '.join(arguments)}")
            code = int(its.readline())
            return subprocess.CompletedProcess(
                arguments, code, files[1].read_text(), files[2].read_text()
            )


@cache
def forks() -> Forks:
    """One for the tests of this process."""
    return Forks()


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(**job)
            return import_module("cairn.cli.main").main()  # what it exits with, the copy does
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return None


def _become(arguments: list[str], env: dict[str, str], folder: str, files: list[str]) -> None:
    """Be the process that a shell would have started."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv = ["cairn", *arguments]
    for number, name in enumerate(files):
        opened = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (_stream(number) for number in range(3))


def _stream(number: int) -> IO[str]:
    return open(number, "w" if number else "r", encoding="utf-8", closefd=False)


def _import_all() -> None:
    """The commands and what they import when they run."""
    for room in ROOMS:
        package = import_module(f"cairn.{room}")
        below = walk_packages(getattr(package, "__path__", []), f"{package.__name__}.")
        for module in below:
            import_module(module.name)
    import_module("cairn.catalog")
    for name in ("alembic.command", "rich.console", "rich.table", "rich.progress"):
        import_module(name)


if __name__ == "__main__":
    _import_all()
    use_copies()
    migrated()  # once, for all copies of this process
    gc.freeze()
    _serve()
