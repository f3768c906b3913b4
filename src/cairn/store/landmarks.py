"""Landmarks of a tensor: words chosen by their content, by which it is found inside others.

A word of eight bytes, counted from the start of its storage, is a landmark if its hash is
small. The choice does not depend on where the word lies, so a shard, a fused matrix and a flat
buffer have the landmarks of what they share (the idea of content-defined sampling: Manber,
Finding similar files in a large file system, 1994). Words that recur in a part mark nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

WORD_BYTES = 8

# Of the words of a new tensor one in 256 is looked up: two kibibytes apart.
DENSITY = 256

# Of a stored tensor the smallest hashes are remembered: one for so many bytes. Of half a megabyte
# that is shared some are among them but for one time in fifty.
REMEMBERED_BYTES = 128 << 10

# Of small tensors more, since smaller runs of them are shared; of tiny ones a few in any case.
CLOSE_BYTES = 32 << 10
MAX_CLOSE = 32
MIN_REMEMBERED = 8

# More than so many times what is expected are repeats of a few words.
_MAX_EXCESS = 8
_MIN_EXPECTED = 16
_BLOCK_WORDS = 1 << 16  # their hashes stay in a core's cache
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd: every word has a hash of its own
_LIMIT = np.uint64((1 << 64) // DENSITY)
_MAX_PLACE = np.uint64((1 << 32) - 1)


class Landmarks(NamedTuple):
    """Hashes of words, and where they lie: counted in words from the start of the storage."""

    hashes: npt.NDArray[np.uint64]  # (n,)
    places: npt.NDArray[np.uint32]  # (n,)


NO_LANDMARKS = Landmarks(np.empty(0, np.uint64), np.empty(0, np.uint32))


def landmarks_in(data: bytes | memoryview, start: int) -> Landmarks:
    """Those of a part that lies at byte `start` of its storage, in the order of their hashes."""
    words = np.frombuffer(data, "<u8", len(data) // WORD_BYTES)
    if start % WORD_BYTES or start // WORD_BYTES + len(words) > _MAX_PLACE:
        return NO_LANDMARKS
    at = _small(words)
    if len(at) > _MAX_EXCESS * (len(words) // DENSITY + _MIN_EXPECTED):
        return NO_LANDMARKS
    hashes = words[at] * _MULTIPLIER
    found, first, count = np.unique(hashes, return_index=True, return_counts=True)
    once = (count == 1) & (found > 0)  # zeros are everywhere
    places = at[first[once]] + start // WORD_BYTES
    return Landmarks(found[once], places.astype(np.uint32))


def _small(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where the words are that have small hashes."""
    found = [np.empty(0, np.int64)]
    for start in range(0, len(words), _BLOCK_WORDS):
        hashes = words[start : start + _BLOCK_WORDS] * _MULTIPLIER
        found.append(np.flatnonzero(hashes < _LIMIT) + start)
    return np.concatenate(found)


def remembered(parts: Iterable[Landmarks], size_bytes: int) -> Landmarks:
    """What is kept of the landmarks of a storage's parts."""
    gathered = list(parts)
    if not gathered:
        return NO_LANDMARKS
    hashes = np.concatenate([part.hashes for part in gathered])
    places = np.concatenate([part.places for part in gathered])
    close = min(size_bytes // CLOSE_BYTES, MAX_CLOSE)
    most = max(MIN_REMEMBERED, close, size_bytes // REMEMBERED_BYTES)
    smallest = np.argsort(hashes, kind="stable")[:most]
    return Landmarks(hashes[smallest], places[smallest])
