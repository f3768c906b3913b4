"""Runs the `cairn` command the way a shell does."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.cli.forked import forks

CAIRN = Path(sys.executable).parent / "cairn"


def cairn(
    *arguments: str,
    data: Path | None = None,
    expect: int = 0,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `cairn ARGUMENTS`, with `--data` last, and check its exit code."""
    place = [] if data is None else ["--data", str(data)]
    told = {**os.environ, "COLUMNS": "200", **(env or {})}
    done = forks().run([*arguments, *place], told, stdin)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def typed_into_cairn(*arguments: str, typed: list[str]) -> str:
    """What `cairn ARGUMENTS` prints when each line is typed at a terminal after a question."""
    ours, its = pty.openpty()
    told = b""
    with subprocess.Popen(
        [str(CAIRN), *arguments], stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as running:
        os.close(its)
        with suppress(OSError):  # as below
            while block := os.read(ours, 4096):
                told += block
                if block.rstrip(b" ").endswith(b":") and typed:
                    os.write(ours, typed.pop(0).encode() + b"\n")
    os.close(ours)
    assert running.returncode == 0, told
    return told.decode()


def cairn_on_a_terminal(*arguments: str, columns: int) -> str:
    """What `cairn ARGUMENTS` prints on a terminal of this width."""
    ours, its = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    told = b""
    with subprocess.Popen([str(CAIRN), *arguments], stdout=its, stderr=its, env=env) as running:
        os.close(its)
        with suppress(OSError):  # Linux says EIO, not end of file, once the other side is closed
            while block := os.read(ours, 4096):
                told += block
    os.close(ours)
    assert running.returncode == 0, told
    return told.decode()
