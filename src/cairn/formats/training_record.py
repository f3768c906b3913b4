"""The names that Cairn's training checkpoints go by, for those who write and those who read them.

What stands in the record is listed in docs/formats/cairn-training.md.
"""

import re

RECORD = "checkpoint.json"
FORMAT = "cairn-training"
VERSION = 2
"""The newest version of the format: 2 has what several ranks keep, 1 is of one process."""

_STEP = re.compile(r"step-(0|[1-9]\d{0,17})(?:\.([1-9]\d{0,8}))?\Z")


def step_of(folder: str) -> tuple[int, int] | None:
    """Step and take that the name of a checkpoint's folder says: `step-100.1` is (100, 1)."""
    match = _STEP.match(folder)
    return None if match is None else (int(match[1]), int(match[2] or 0))
