"""Landmarks are chosen by content, wherever it lies, and found again in the index."""

import hashlib

import numpy as np

from cairn.domain import Digest, DType, Span
from cairn.store.landmark_index import MOST_EQUAL, LandmarkIndex
from cairn.store.landmarks import (
    DENSITY,
    MAX_CLOSE,
    MIN_REMEMBERED,
    NO_LANDMARKS,
    REMEMBERED_BYTES,
    Landmarks,
    landmarks_in,
    remembered,
)
from cairn.store.sketches import SAMPLES, Sketch


def noise(seed: int, size_bytes: int) -> bytes:
    return np.random.default_rng(seed).bytes(size_bytes)


def blob(number: int) -> Digest:
    return Digest.sha256(hashlib.sha256(str(number).encode()).hexdigest())


def sketch(landmarks: Landmarks) -> Sketch:
    span = Span(0, 1 << 20)
    return Sketch(span, DType.F32, 1 << 18, np.zeros(SAMPLES, np.float32), 512, landmarks)


def test_a_run_has_the_same_landmarks_wherever_it_lies() -> None:
    run = noise(1, 200_000)
    own = landmarks_in(run, 0)
    around = landmarks_in(noise(2, 8_000) + run + noise(3, 80_000), 4_000)
    at = np.isin(around.hashes, own.hashes)
    assert len(own.hashes) == at.sum() > 0.5 * len(run) / 8 / DENSITY
    assert np.array_equal(around.hashes[at], own.hashes)
    assert np.array_equal(around.places[at], own.places + (8_000 + 4_000) // 8)


def test_words_that_recur_and_zeros_mark_nothing() -> None:
    run = noise(1, 40_000)
    assert len(landmarks_in(run, 0).hashes)
    assert not len(landmarks_in(run + run, 0).hashes)
    assert not len(landmarks_in(bytes(1 << 20), 0).hashes)
    word = int(landmarks_in(run, 0).places[0])
    assert not len(landmarks_in(run[8 * word : 8 * word + 8] * 100_000, 0).hashes)


def test_runs_off_by_less_than_a_word_and_short_ones_have_none() -> None:
    assert landmarks_in(noise(1, 4_000), 4) is NO_LANDMARKS
    assert not len(landmarks_in(b"", 0).hashes)
    assert not len(landmarks_in(b"1234567", 0).hashes)


def test_the_smallest_hashes_are_remembered() -> None:
    parts = [landmarks_in(noise(n, 1 << 20), n << 20) for n in range(3)]
    kept = remembered(parts, 3 << 20)
    every = np.sort(np.concatenate([part.hashes for part in parts]))
    assert np.array_equal(kept.hashes, every[:MAX_CLOSE])
    assert len(remembered(parts, 8 << 20).hashes) == (8 << 20) // REMEMBERED_BYTES
    assert len(remembered(parts, 100_000).hashes) == MIN_REMEMBERED
    assert len(remembered(parts, 1 << 30).hashes) == len(every)
    assert remembered([], 0) is NO_LANDMARKS


def test_the_index_finds_tensors_until_they_are_forgotten() -> None:
    index = LandmarkIndex()
    runs = [noise(n, 300_000) for n in range(20)]
    for number, run in enumerate(runs):
        index.add(blob(number), sketch(remembered([landmarks_in(run, 0)], len(run))))
    wanted = landmarks_in(runs[7] + runs[12], 0)
    found = index.matches(wanted)
    assert len(found.here) == 2 * (300_000 >> 15)
    by_tensor = {int(t): set((found.here - found.there)[found.tensors == t]) for t in found.tensors}
    tensors = {number: index.tensor(number) for number in by_tensor}
    shifts = {marked.blob: by_tensor[n] for n, marked in tensors.items() if marked is not None}
    assert shifts == {blob(7): {0}, blob(12): {300_000 // 8}}
    index.forget({blob(7).raw})
    left = {index.tensor(int(number)) for number in index.matches(wanted).tensors}
    assert {marked.blob for marked in left if marked is not None} == {blob(12)}


def test_of_many_equal_tensors_the_latest_are_found() -> None:
    index, run = LandmarkIndex(), noise(1, 100_000)
    assert not len(index.matches(landmarks_in(run, 0)).here)
    for number in range(3 * MOST_EQUAL):
        index.add(blob(number), sketch(remembered([landmarks_in(run, 0)], len(run))))
    found = set(index.matches(landmarks_in(run, 0)).tensors.tolist())
    assert 3 * MOST_EQUAL - 1 in found
    assert len(found) <= 3 * MOST_EQUAL
