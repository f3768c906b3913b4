"""Where a person's own files are, outside of any hub."""

import os
from pathlib import Path


def user_folder() -> Path:
    """Where a person's own files of Cairn are kept: `$XDG_CONFIG_HOME/cairn`, `~/.config/cairn`.

    https://specifications.freedesktop.org/basedir-spec/latest/: a relative path is ignored.
    """
    named = Path(os.environ.get("XDG_CONFIG_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".config") / "cairn"


def caches() -> Path:
    """Where Cairn keeps what it can make again: `$XDG_CACHE_HOME/cairn`, `~/.cache/cairn`."""
    named = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".cache") / "cairn"


def hf_cache() -> Path:
    """Where huggingface_hub keeps what it downloads, found as it does.

    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(name):
            return Path(named).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"
