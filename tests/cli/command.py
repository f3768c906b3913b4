"""Runs the installed `cairn` command the way a shell does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CAIRN = Path(sys.executable).parent / "cairn"


def cairn(
    *arguments: str,
    data: Path | None = None,
    expect: int = 0,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `cairn ARGUMENTS`, with `--data` last, and check its exit code."""
    place = [] if data is None else ["--data", str(data)]
    done = subprocess.run(
        [str(CAIRN), *arguments, *place],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
