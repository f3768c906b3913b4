"""How folders are called into which caches lay the files of a repo: by it and a commit."""

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


def called(base: Path) -> str:
    """What messages call a base: its folder, or the repo it was fetched from.

    In a cache the folder is named by its commit, and one above it by the repo: `org--name` here,
    `models--org--name` of huggingface_hub.
    """
    if _COMMIT.match(base.name):
        for folder in base.parents[:2]:
            if "--" in folder.name:
                return folder.name.removeprefix("models--").replace("--", "/", 1)
    return base.name
