"""Which parts of which staged xorbs give a byte range of a file: the answer to a download.

    {"offset_into_first_range": bytes to skip in the first term,
     "terms": [{"hash", "unpacked_length", "range": {"start", "end"}}],
     "fetch_info": {hash: [{"range": {...}, "url", "url_range": {"start", "end"}}]}}

`range` counts chunks, its end is exclusive; `url_range` counts bytes for a Range header, its
end is inclusive. Terms are trimmed to the chunks that the byte range touches, and every term
lies inside one entry of `fetch_info`.

Specification: https://huggingface.co/docs/xet/api (Get File Reconstruction, version 1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cairn.hub.xet.hashing import to_text
from cairn.hub.xet.staged import Staged, StagedFile, StagedTerm
from cairn.hub.xet.xorb import ChunkTable

# Gives the URL under which stored bytes `start` to `stop` (exclusive) of a xorb may be had.
UrlFor = Callable[[bytes, int, int], str]


@dataclass(frozen=True, slots=True)
class _Needed:
    """Chunks `start` to `stop` (exclusive) of a xorb, `plain_bytes` in all."""

    xorb: bytes
    start: int
    stop: int
    plain_bytes: int


def reconstruction(
    file: StagedFile, staged: Staged, start: int, stop: int, url_for: UrlFor
) -> dict[str, Any]:
    """The JSON answer for plain bytes `start` to `stop` (exclusive) of a file.

    Raises:
        NotStagedError: a xorb of the file is not staged any more.
    """
    needed: list[_Needed] = []
    skip = at = 0
    for term in file.terms:
        end = at + term.plain_bytes
        if at < stop and start < end:
            first, part = _trim(term, staged.table(term.xorb), start - at, stop - at)
            skip = skip if needed else first
            needed.append(part)
        at = end
    return {
        "offset_into_first_range": skip,
        "terms": [
            {
                "hash": to_text(n.xorb),
                "unpacked_length": n.plain_bytes,
                "range": {"start": n.start, "end": n.stop},
            }
            for n in needed
        ],
        "fetch_info": _fetch_info(needed, staged, url_for),
    }


def _trim(term: StagedTerm, table: ChunkTable, start: int, stop: int) -> tuple[int, _Needed]:
    """The chunks of a term that bytes `start` to `stop` of it touch, and the bytes to skip."""
    base = table.plain_bytes(0, term.start) if term.start else 0
    low = base + max(start, 0)
    high = base + min(stop, term.plain_bytes)
    first = int(np.searchsorted(table.plain_ends, low, side="right"))
    last = int(np.searchsorted(table.plain_ends, high, side="left"))
    before = table.plain_bytes(0, first) if first else 0
    part = _Needed(term.xorb, first, last + 1, table.plain_bytes(first, last + 1))
    return low - before, part


def _fetch_info(
    needed: list[_Needed], staged: Staged, url_for: UrlFor
) -> dict[str, list[dict[str, Any]]]:
    by_xorb: dict[bytes, list[tuple[int, int]]] = {}
    for part in needed:
        by_xorb.setdefault(part.xorb, []).append((part.start, part.stop))
    answer = {}
    for xorb, ranges in by_xorb.items():
        table = staged.table(xorb)
        entries = []
        for start, stop in _merged(ranges):
            low, high = table.stored_span(start, stop)
            entries.append(
                {
                    "range": {"start": start, "end": stop},
                    "url": url_for(xorb, low, high),
                    "url_range": {"start": low, "end": high - 1},
                }
            )
        answer[to_text(xorb)] = entries
    return answer


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same chunks as few ranges, in order."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
