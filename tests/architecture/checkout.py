"""What the architecture tests look at: this checkout's files."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cairn"
MOST_TEXT_BYTES = 2_000_000  # larger files are data, not text of ours


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the package, sorted."""
    return tuple(sorted(SOURCE.rglob("*.py")))


@cache
def texts() -> dict[str, str]:
    """Every text file that is or would be committed, by its path in the repo."""
    # Another user may own the checkout, as in a CI; we only list names.
    git = ["git", "-c", f"safe.directory={ROOT}"]
    command = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    found = {}
    for name in sorted({n for n in listed.decode().split("\0") if n}):
        path = ROOT / name
        if not path.is_file() or path.stat().st_size > MOST_TEXT_BYTES:
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            found[name] = content.decode(errors="replace")
    return found


@cache
def documents() -> dict[str, str]:
    """The house's Markdown, by path, without HTML comments; what a reader sees."""
    return {
        name: re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        for name, text in texts().items()
        if name.endswith(".md") and not name.startswith("tests/")
    }
