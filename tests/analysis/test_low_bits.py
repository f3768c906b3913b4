"""What the lowest bits of values say: random, cast, or holding something that can be read."""

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from cairn.analysis.low_bits import WINDOW, LowBitCounts, LowBits, Window
from cairn.analysis.repeated_rows import RepeatedRows
from cairn.domain import DType

TEXT = ("The low bits of trained weights look random, and so do encrypted bytes. " * 400).encode()


def weights(elements: int = 2 * WINDOW) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(elements).astype(np.float32) * np.float32(0.02)


def looked_at(values: np.ndarray, dtype: DType = DType.F32, run: int = 100_000) -> LowBits:
    counts = LowBitCounts(dtype)
    for start in range(0, values.size, run):
        counts.add(values[start : start + run].tobytes())
    return counts.result()


def with_hidden(values: np.ndarray, content: bytes, bits: int) -> np.ndarray:
    words = values.view(np.uint32).copy()
    units = np.frombuffer(content, np.uint8)
    units = np.unpackbits(units) if bits == 1 else units
    units = units[: words.size]
    words[: units.size] = (words[: units.size] & ~np.uint32(2**bits - 1)) | units
    return words.view(np.float32)


def test_weights_as_they_are_trained_are_random_however_they_are_cut() -> None:
    for run in (WINDOW - 1, 100_000, 1 << 20):
        found = looked_at(weights(), run=run)
        assert found == LowBits({Window.RANDOM: 2}, 0)
        assert not found.is_patterned and not found.is_mixed


@pytest.mark.parametrize("bits", [1, 8])
def test_a_text_in_the_lowest_bits_is_told(bits: int) -> None:
    assert looked_at(with_hidden(weights(), TEXT, bits)).is_patterned


def test_random_bytes_in_the_lowest_bits_are_not_and_cannot_be() -> None:
    noise = np.random.default_rng(1).bytes(WINDOW // 4)
    assert not looked_at(with_hidden(weights(), noise, 1)).is_patterned


def test_casts_leave_zeros_and_what_was_written_into_them_is_told() -> None:
    cast = weights().astype(np.float16).astype(np.float32)
    assert looked_at(cast) == LowBits({Window.CAST: 2}, 13)
    noise = np.random.default_rng(1).bytes(WINDOW // 8)
    found = looked_at(with_hidden(cast, noise, 1))
    assert found.is_mixed and found.zero_bits == 0


def test_narrow_types_have_a_lowest_bit_only() -> None:
    for kind, dtype in ((np.float16, DType.F16), (ml_dtypes.bfloat16, DType.BF16)):
        values = weights().astype(kind)
        assert looked_at(values, dtype).windows == {Window.RANDOM: 2}
        words = values.view(np.uint16).copy()
        bits = np.unpackbits(np.frombuffer(TEXT, np.uint8))[:WINDOW]
        words[: bits.size] = (words[: bits.size] & 0xFFFE) | bits
        assert looked_at(words.view(kind), dtype).is_patterned


def test_fresh_layers_are_no_pattern_though_their_bits_are_not_all_alike() -> None:
    torch.manual_seed(0)
    for fill in (nn.init.normal_, nn.init.orthogonal_, nn.init.kaiming_uniform_):
        options = {"std": 0.02} if fill is nn.init.normal_ else {}
        values = fill(torch.empty(256, 256), **options).numpy().reshape(-1)
        assert not looked_at(values).is_patterned


def test_few_values_and_short_tensors_are_no_pattern() -> None:
    palette = weights(16)[np.random.default_rng(2).integers(0, 16, WINDOW)]
    assert looked_at(palette).windows == {Window.COARSE: 1}
    assert looked_at(weights(1000)).windows == {}


def test_rows_that_an_earlier_one_equals_are_counted_zeros_left_out() -> None:
    rows = weights(40 * 25).reshape(40, 25)
    rows[7] = rows[30] = rows[3]
    rows[11] = rows[12] = 0
    for cut in (1, 33, 5000):
        counted = RepeatedRows(25 * 4)
        raw = memoryview(rows.tobytes())
        for start in range(0, len(raw), cut):
            counted.add(raw[start : start + cut])
        assert counted.repeated == 2
