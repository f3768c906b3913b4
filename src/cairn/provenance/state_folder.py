"""Where a person's Cairn remembers things on this machine."""

import os
from pathlib import Path


def user_state_folder() -> Path:
    """`$XDG_STATE_HOME/cairn`, else `~/.local/state/cairn`.

    https://specifications.freedesktop.org/basedir-spec/latest/: a relative path is ignored.
    """
    named = Path(os.environ.get("XDG_STATE_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".local" / "state") / "cairn"
