"""Differences to a prediction: any bits come back, near values take few bytes, damage is found."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.residual import (
    BY_EXPONENT,
    EXACT,
    PLANES,
    WHOLE,
    apply_residual,
    codings_for,
    encode_residual,
    likely_bits,
)
from cairn.store.scratch import Scratch

SCRATCH = Scratch()
CODINGS = [(dtype, coding) for dtype in [None, *DType] for coding in codings_for(dtype)]
by_coding = pytest.mark.parametrize(("dtype", "coding"), CODINGS)


def kept(plain: bytes, predicted: bytes, dtype: DType | None, coding: int) -> bytes:
    return encode_residual(memoryview(plain), memoryview(predicted), dtype, coding, SCRATCH)


def restored(stored: bytes, predicted: bytes, dtype: DType | None, coding: int) -> bytes:
    out = bytearray(predicted)
    apply_residual(coding, memoryview(stored), memoryview(out), dtype, SCRATCH)
    return bytes(out)


@by_coding
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(0, 30_000))
@settings(max_examples=5, deadline=None)
def test_any_two_bit_patterns_have_a_difference(
    dtype: DType | None, coding: int, seed: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    plain, predicted = rng.bytes(size), rng.bytes(size)
    assert restored(kept(plain, predicted, dtype, coding), predicted, dtype, coding) == plain


@by_coding
def test_special_values_come_back(dtype: DType | None, coding: int) -> None:
    special = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-45, -1e-45, 3.4e38, 1.0]
    values = np.resize(np.array(special, "<f4"), 9_000)
    predicted = np.roll(values, 4)
    plain, base = values.tobytes(), predicted.tobytes()
    assert restored(kept(plain, base, dtype, coding), base, dtype, coding) == plain


def fine_tuned(dtype: DType) -> tuple[bytes, bytes]:
    rng = np.random.default_rng(3)
    base = rng.normal(0, 0.02, 300_000).astype("<f4")
    tuned = base + rng.normal(0, 2e-4, 300_000).astype("<f4")
    if dtype is DType.BF16:
        return tuple((v.view("<u4") >> 16).astype("<u2").tobytes() for v in (tuned, base))  # type: ignore[return-value]
    return tuned.tobytes(), base.tobytes()


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16])
def test_differences_under_one_exponent_are_alike(dtype: DType) -> None:
    plain, base = fine_tuned(dtype)
    by_exponent = kept(plain, base, dtype, BY_EXPONENT)
    assert len(by_exponent) < 0.97 * len(kept(plain, base, dtype, WHOLE))


@pytest.mark.parametrize(("dtype", "share"), [(DType.F32, 1.02), (DType.BF16, 1.12)])
def test_byte_planes_of_differences_take_little_more_than_one_pcodec_stream(
    dtype: DType, share: float
) -> None:
    plain, base = fine_tuned(dtype)
    assert len(kept(plain, base, dtype, PLANES)) < share * len(kept(plain, base, dtype, WHOLE))


@pytest.mark.parametrize(("below", "coded"), [(128, False), (8, True)])
def test_a_plane_that_would_save_little_of_the_part_is_kept_raw(below: int, coded: bool) -> None:
    plain = np.random.default_rng(1).integers(0, below, 50_000).astype("<u4").tobytes()
    base = bytes(len(plain))
    stored = kept(plain, base, DType.U32, PLANES)
    assert stored[4] == coded  # of the lowest plane: 7 bits of a byte, or 3
    assert restored(stored, base, DType.U32, PLANES) == plain


def test_planes_of_differences_find_damage_in_their_heads() -> None:
    plain, base = fine_tuned(DType.F32)
    stored = kept(plain, base, DType.F32, PLANES)
    for wrong in (b"", stored[:3], stored[:-1], b"\x02" + stored[1:], stored + b"\0"):
        with pytest.raises(IntegrityError):
            restored(wrong, base, DType.F32, PLANES)
    with pytest.raises(IntegrityError, match="no elements"):
        restored(b"\0\0\0\0", b"abc", DType.F32, PLANES)


def test_bfloat16_differences_take_what_their_entropy_says() -> None:
    """Within 5 % of the order-0 entropy given the base's exponent, the limit of such a coder."""
    plain, base = (np.frombuffer(data, "<i2").astype(int) for data in fine_tuned(DType.BF16))
    rows = np.stack([(base >> 7) & 255, np.where(base < 0, -1, 1) * (plain - base)])
    bits = 0.0
    for exponent in np.unique(rows[0]):
        _, counts = np.unique(rows[1][rows[0] == exponent], return_counts=True)
        bits -= (counts * np.log2(counts / counts.sum())).sum()
    stored = kept(*fine_tuned(DType.BF16), DType.BF16, BY_EXPONENT)
    assert len(stored) <= 1.05 * bits / 8


def test_the_likely_bits_rank_predictions_as_the_coder_does() -> None:
    plain, base = (np.frombuffer(data, "<f4") for data in fine_tuned(DType.F32))
    nearer = (base + (plain - base) * np.float32(0.9)).astype("<f4")
    values = [
        likely_bits(memoryview(plain.tobytes()), memoryview(p.tobytes()), DType.F32)
        for p in (plain, nearer, base)
    ]
    assert values[0] == 0 < values[1] < values[2]


@by_coding
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_damage_is_an_integrity_error_or_wrong_bytes_never_worse(
    dtype: DType | None, coding: int, data: st.DataObject, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.normal(0, 0.02, 6_000).astype("<f4").tobytes()
    plain = (np.frombuffer(predicted, "<u4") + rng.integers(0, 9, 6_000)).astype("<u4").tobytes()
    stored = bytearray(kept(plain, predicted, dtype, coding))
    at = data.draw(st.integers(0, len(stored) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "extend"])):
        case "flip":
            stored[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del stored[at:]
        case "extend":
            stored += bytes(at + 1)
    with suppress(IntegrityError):
        restored(bytes(stored), predicted, dtype, coding)


def test_an_unknown_coding_is_an_integrity_error() -> None:
    for coding in (EXACT, BY_EXPONENT, 9):
        with pytest.raises(IntegrityError):
            restored(b"xyz", bytes(64), DType.I32, coding)
