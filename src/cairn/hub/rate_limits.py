"""How many requests somebody may make in a while: counted per process, told as the HF hub tells it.

    RateLimit: "api";r=499;t=55
    RateLimit-Policy: "fixed window";"api";q=500;w=300

https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-09.html, as huggingface_hub
reads it (`parse_ratelimit_headers` in `utils/_http.py`): what is counted, how many requests are
left, and after how many seconds the count begins anew. Requests without an account are counted
by address, an IPv6 /64 as one, others by account. Transfers that a signature permits (LFS, Xet) are
not counted: whoever asked for the signature was.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cairn.errors import ThrottledError

Kind = Literal["api", "resolvers", "pages"]

# About 200 bytes each: 20 MB. When there are more, those that asked least lately are forgotten.
MAX_SUBJECTS = 100_000


def kind_of(path: str) -> Kind:
    """What a path counts as, in the words of the HF hub."""
    if path.startswith("/api/"):
        return "api"
    if "/resolve/" in path or "/raw/" in path or ".git/info/lfs" in path:
        return "resolvers"
    return "pages"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody has left of `quota` requests, until `reset_s` seconds from now."""

    kind: Kind
    quota: int
    left: int
    reset_s: float
    window_s: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What a client is told."""
        seconds = math.ceil(self.reset_s)
        policy = f'"fixed window";"{self.kind}";q={self.quota};w={self.window_s:.0f}'
        left = max(0, self.left)
        return [
            (b"ratelimit", f'"{self.kind}";r={left};t={seconds}'.encode()),
            (b"ratelimit-policy", policy.encode()),
        ]


class RateLimits:
    """Counts by subject and kind, each in windows that begin with its first request.

    Used from the event loop alone.
    """

    def __init__(
        self,
        window_s: float,
        clock: Callable[[], float] = time.monotonic,
        max_subjects: int = MAX_SUBJECTS,
    ) -> None:
        self._window_s = window_s
        self._clock = clock
        self._max_subjects = max_subjects
        self._counts: OrderedDict[tuple[str, Kind], tuple[float, int]] = OrderedDict()

    def take(self, subject: str, kind: Kind, quota: int) -> Allowance:
        """Count a request; `left` is negative where it was one too many."""
        now = self._clock()
        ends_at, used = self._counts.pop((subject, kind), (0.0, 0))
        if ends_at <= now:
            ends_at, used = now + self._window_s, 0
        used = min(used + 1, quota + 1)
        self._counts[subject, kind] = (ends_at, used)
        while len(self._counts) > self._max_subjects:
            self._counts.popitem(last=False)
        return Allowance(kind, quota, quota - used, ends_at - now, self._window_s)

    def __len__(self) -> int:
        return len(self._counts)


def check_left(allowance: Allowance) -> None:
    """Refuse what was one too many.

    Raises:
        ThrottledError: with the seconds to wait.
    """
    if allowance.left < 0:
        raise ThrottledError(
            f"more than {allowance.quota} requests ({allowance.kind}) in"
            f" {allowance.window_s:.0f} seconds; wait, or send an access token",
            retry_after_s=allowance.reset_s,
        )
