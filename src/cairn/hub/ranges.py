"""Conditional and partial requests for one immutable representation (RFC 9110, 13 and 14)."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """What to answer: a status and the bytes `start` to `stop` (exclusive)."""

    status: int
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the body."""
        return self.stop - self.start


def select(method: str, headers: Headers, etag: str, size_bytes: int) -> Part:
    """200, 206, 304 or 416 for a representation with this quoted strong ETag and size.

    Only GET has ranges (RFC 9110, 14.2): HEAD always speaks of the whole.

    A range in a form other than one `first-last`, `first-` or `-suffix` is ignored, as
    the RFC allows; so is one whose If-Range names another representation.
    """
    if _none_match_fails(headers.get("if-none-match"), etag):
        return Part(304, 0, 0)
    whole = Part(200, 0, size_bytes)
    found = _RANGE.match(headers.get("range", "").lower())
    if method != "GET" or found is None or headers.get("if-range", etag).strip() != etag:
        return whole
    first, last, suffix = found.groups()
    if suffix is not None:
        wanted = min(int(suffix), size_bytes)
        start, stop = size_bytes - wanted, size_bytes
    else:
        start = int(first)
        stop = size_bytes if last is None else min(int(last) + 1, size_bytes)
        if last is not None and int(last) < start:
            return whole
    if start >= stop:
        return Part(416, 0, 0)
    return Part(206, start, stop)


def _none_match_fails(value: str | None, etag: str) -> bool:
    if value is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in value.split(",")]
    return "*" in tags or etag in tags
