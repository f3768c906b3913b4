"""Which source a training program runs: git's commit, and a digest of what differs from it."""

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

_TIMEOUT_S = 20


def program_folder() -> Path:
    """Where the program that runs lies; the working folder where it is typed in."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).absolute().parent if file else Path.cwd()


@cache
def code_revision(folder: Path) -> str | None:
    """`<commit>` or `<commit> with changes <digest>`; None outside a git repository.

    Asked once in a process: it runs what was read at its start, whatever happens to the files.
    Files that git does not know are not looked at.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
    name = commit.decode().strip()
    if not changed:
        return name
    return f"{name} with changes {hashlib.sha256(changed).hexdigest()[:16]}"


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None where there is no git, or nothing for it to say."""
    # A repository may name a program to watch its files; nothing of the kind is run.
    command = ("git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments)
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and a folder of the caller's
            command, capture_output=True, check=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
