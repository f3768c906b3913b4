"""How much a namespace may keep, and how much it does."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cairn.errors import RequestError


class Measure(Enum):
    """How bytes are counted: as readers see them, or as they lie on disk."""

    LOGICAL = "logical"
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class Quota:
    """The most bytes a namespace may have, by each measure; None: no limit.

    Raises:
        RequestError: a limit is below zero.
    """

    logical_bytes: int | None = None
    stored_bytes: int | None = None

    def __post_init__(self) -> None:
        for limit in (self.logical_bytes, self.stored_bytes):
            if limit is not None and limit < 0:
                raise RequestError(f"a quota of {limit} bytes: give 0 or more")


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a namespace has.

    `logical_bytes` counts every different file of all revisions of its repos once, and what was
    sent and not committed yet. `stored_bytes` is what the committed files took on disk at
    `counted_at`, what they are made from included; both are None before the first count.
    """

    logical_bytes: int
    stored_bytes: int | None = None
    counted_at: datetime | None = None
