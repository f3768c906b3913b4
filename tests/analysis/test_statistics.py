"""Statistics: they equal what NumPy computes from all values at once, however these are cut."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from math import frexp, prod

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cairn.analysis.floats import floats, is_decodable, parts_per_element, smallest_normal
from cairn.analysis.kernels import DISTINCT_CAP
from cairn.analysis.statistics import measure
from cairn.domain import DType, Span, TensorInfo
from cairn.domain.statistics import TensorStatistics
from cairn.errors import MalformedError

DECODABLE = [dtype for dtype in DType if is_decodable(dtype)]


def tensor_of(dtype: DType, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo("t", dtype, shape, Span(0, dtype.size_bytes(prod(shape))))


def measured(array: np.ndarray, dtype: DType, **options: int) -> TensorStatistics:
    return measure(tensor_of(dtype, array.shape), [array.tobytes()], **options)


def cut(raw: bytes, dtype: DType, places: list[int]) -> Iterator[bytes]:
    """The bytes in blocks that end at some of the places, in units of the type."""
    units = len(raw) // dtype.block_bytes
    edges = sorted({0, units, *(place % (units + 1) for place in places)})
    for start, stop in pairwise(edges):
        yield raw[start * dtype.block_bytes : stop * dtype.block_bytes]


def check(found: TensorStatistics, values: np.ndarray, dtype: DType) -> None:
    """Against NumPy on all values at once."""
    with np.errstate(invalid="ignore"):  # signalling NaN
        values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    assert found.count == values.size
    assert found.nans == np.isnan(values).sum()
    assert found.positive_infinities == (values == np.inf).sum()
    assert found.negative_infinities == (values == -np.inf).sum()
    assert found.finite == finite.size
    assert found.zeros == (values == 0).sum()
    tiny = (finite != 0) & (np.abs(finite) < smallest_normal(dtype))
    assert found.subnormals == tiny.sum()
    distinct = np.unique(values[~np.isnan(values)]).size
    assert (found.distinct, found.distinct_is_exact) == (distinct, True)
    assert sum(o.negative + o.positive for o in found.octaves) + found.zeros == finite.size
    if not finite.size:
        assert found.minimum is found.maximum is found.mean is found.std is None
        return
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    assert found.is_constant == (values.size > 1 and np.unique(values).size == 1)
    largest = np.abs(finite).max()
    with np.errstate(over="ignore", under="ignore"):
        squares = np.sum(finite**2)
    if not np.isfinite(squares) or (squares < 1e-280 and largest > 0):
        return  # beyond what doubles hold: a test of its own
    assert found.mean == pytest.approx(finite.mean(), rel=1e-9, abs=largest * 1e-12)
    assert found.std == pytest.approx(finite.std(), rel=1e-9, abs=largest * 1e-9)
    assert found.l2_norm == pytest.approx(np.sqrt(squares), rel=1e-9)
    if found.histogram is not None:
        shown = found.histogram
        assert sum(shown.counts) + shown.below + shown.above == finite.size


@pytest.mark.parametrize("dtype", DECODABLE, ids=lambda dtype: dtype.label)
@settings(max_examples=25, deadline=None)
@given(raw=st.binary(max_size=1200), places=st.lists(st.integers(0, 999), max_size=4))
def test_any_bytes_of_any_type_give_what_numpy_gives(dtype: DType, raw: bytes, places) -> None:
    raw = raw[: len(raw) // dtype.block_bytes * dtype.block_bytes]
    elements = len(raw) // dtype.block_bytes * dtype.block_elements
    with np.errstate(all="ignore"):
        found = measure(tensor_of(dtype, (elements,)), cut(raw, dtype, places))
    check(found, floats(raw, dtype), dtype)
    assert found.rows is None


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-45, 3.4e38, 1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (DType.F32, np.float32),
        (DType.F64, np.float64),
        (DType.F16, np.float16),
        (DType.BF16, ml_dtypes.bfloat16),
        (DType.F8_E4M3, ml_dtypes.float8_e4m3fn),
        (DType.F8_E5M2FNUZ, ml_dtypes.float8_e5m2fnuz),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
@settings(max_examples=40, deadline=None)
@given(
    data=npst.arrays(
        np.float64,
        npst.array_shapes(min_dims=2, max_dims=4, max_side=6),
        elements=st.sampled_from(SPECIAL) | st.floats(-4, 4),
        fill=st.sampled_from((0.0, -0.0, 0.25)),
    ),
    dead=st.sets(st.integers(0, 5)),
    places=st.lists(st.integers(0, 999), max_size=5),
)
def test_special_values_and_dead_rows_are_counted(dtype, kind, data, dead, places) -> None:
    for row in dead:
        data[row % len(data)] = 0.0
    with np.errstate(all="ignore"):
        array = data.astype(kind)
        found = measure(tensor_of(dtype, array.shape), cut(array.tobytes(), dtype, places))
    plain = array.astype(np.float64)
    check(found, plain.reshape(-1), dtype)
    if prod(array.shape[1:]) > 1:
        assert found.rows == len(array)
        assert found.dead_rows == (plain.reshape(len(array), -1) == 0).all(axis=1).sum()
    else:
        assert found.rows is None


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64, DType.BF16, DType.I32, DType.F4])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), places=st.lists(st.integers(0, 1 << 20), min_size=1, max_size=6))
def test_where_blocks_end_changes_nothing_but_rounding(dtype, seed, places) -> None:
    shape = (50, 240)
    values = np.random.default_rng(seed).normal(1000, 3, shape)  # the mean dwarfs the deviation
    match dtype:
        case DType.BF16:
            raw = values.astype(ml_dtypes.bfloat16).tobytes()
        case DType.I32:
            raw = values.astype("<i4").tobytes()
        case DType.F4:
            raw = values.astype("u1").tobytes()[:: dtype.block_elements]
        case _:
            raw = values.astype("<f4" if dtype is DType.F32 else "<f8").tobytes()
    tensor = tensor_of(dtype, shape)
    whole, parts = measure(tensor, [raw]), measure(tensor, cut(raw, dtype, places))
    for name in ("mean", "std", "l2_norm"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9), name
    for name in ("count", "zeros", "minimum", "maximum", "distinct", "octaves", "dead_rows"):
        assert getattr(parts, name) == getattr(whole, name), name


def test_a_small_deviation_beside_a_large_mean_keeps_its_digits() -> None:
    array = 1e4 + np.random.default_rng(0).normal(0, 1e-2, 1 << 16).astype("<f4")
    assert measured(array, DType.F32).std == pytest.approx(array.astype(float).std(), rel=1e-9)


def test_sixty_four_bit_integers_keep_their_last_digit() -> None:
    array = np.array([-(2**63), 2**63 - 1, 0, 5], "<i8")
    found = measured(array, DType.I64)
    assert (found.minimum, found.maximum) == (-(2**63), 2**63 - 1)
    assert (found.zeros, found.distinct) == (1, 4)
    unsigned = measured(np.array([2**64 - 1, 1], "<u8"), DType.U64)
    assert (unsigned.minimum, unsigned.maximum) == (1, 2**64 - 1)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_what_a_double_cannot_hold_is_left_out_and_not_made_up(scale: float) -> None:
    found = measured(np.array([1.0, 2.0, 3.0]) * scale, DType.F64)
    assert found.minimum == scale
    assert found.std is None
    assert found.l2_norm is None


def test_many_distinct_values_are_counted_exactly_up_to_the_cap_and_then_said_to_be_more() -> None:
    values = np.arange(DISTINCT_CAP, dtype="<f4")
    twice = np.concatenate((values, -values, values))
    assert measured(np.tile(values, 3), DType.F32).distinct == DISTINCT_CAP
    found = measured(twice, DType.F32)
    assert (found.distinct, found.distinct_is_exact) == (DISTINCT_CAP, False)
    halves = np.arange(1 << 16, dtype="<u2").view("<f2")
    assert measured(halves, DType.F16).distinct == np.unique(halves[~np.isnan(halves)]).size


def test_words_that_differ_in_their_top_bits_only_are_told_apart() -> None:
    """Doubles of small whole numbers, whose low bits are all alike."""
    values = np.tile(np.arange(1, DISTINCT_CAP, dtype="<f8"), 50)
    assert measured(values, DType.F64).distinct == DISTINCT_CAP - 1


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64, DType.F16])
def test_octaves_are_powers_of_two_by_sign(dtype: DType) -> None:
    kind = {DType.F32: "<f4", DType.F64: "<f8", DType.F16: "<f2"}[dtype]
    array = np.random.default_rng(3).normal(0, 1, 5000).astype(kind)
    found = {o.exponent: (o.negative, o.positive) for o in measured(array, dtype).octaves}
    wanted: dict[int, list[int]] = {}
    for value in array.astype(float):
        if value:
            wanted.setdefault(frexp(value)[1] - 1, [0, 0])[int(value > 0)] += 1
    assert found == {exponent: tuple(counts) for exponent, counts in wanted.items()}


def test_the_linear_histogram_shows_four_deviations_as_numpy_would() -> None:
    array = np.random.default_rng(4).normal(0.1, 0.02, 400_000).astype("<f4")
    shown = measured(array, DType.F32).histogram
    assert shown is not None
    mean, std = array.mean(), array.std()
    assert (shown.low, shown.high) == pytest.approx((mean - 4 * std, mean + 4 * std), rel=1e-4)
    counts, _ = np.histogram(array, bins=len(shown.counts), range=(shown.low, shown.high))
    assert np.abs(np.array(shown.counts) - counts).sum() < 0.05 * array.size
    outside = ((array < shown.low).sum(), (array > shown.high).sum())
    np.testing.assert_allclose((shown.below, shown.above), outside, atol=30)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (24, 3, 2, 2)])
@pytest.mark.parametrize("dtype", [DType.F32, DType.F64, DType.BF16])
def test_ranks_follow_from_the_singular_values(shape: tuple[int, ...], dtype: DType) -> None:
    kind = {DType.F32: "<f4", DType.F64: "<f8", DType.BF16: ml_dtypes.bfloat16}[dtype]
    array = np.random.default_rng(5).normal(0, 1, shape).astype(kind)
    spectrum = measured(array, dtype).spectrum
    matrix = torch.from_numpy(array.astype("<f8")).reshape(shape[0], -1)
    singular = torch.linalg.svdvals(matrix).numpy()
    shares = singular / singular.sum()
    assert spectrum is not None
    assert spectrum.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert spectrum.stable_rank == pytest.approx((singular**2).sum() / singular[0] ** 2)
    assert spectrum.full_rank == min(matrix.shape)


def test_a_product_of_thin_matrices_has_their_rank() -> None:
    rng = np.random.default_rng(6)
    q = np.linalg.qr(rng.normal(size=(100, 3)))[0]
    r = np.linalg.qr(rng.normal(size=(80, 3)))[0]
    spectrum = measured((q @ r.T).astype("<f4"), DType.F32).spectrum
    assert spectrum is not None
    assert spectrum.effective_rank == pytest.approx(3, abs=0.01)
    assert spectrum.stable_rank == pytest.approx(3, abs=0.01)


def test_where_there_is_no_rank_the_reason_is_given() -> None:
    ones = np.ones((20, 20), "<f4")
    assert measured(ones[0], DType.F32).no_spectrum == "not a matrix"
    assert "longer than 10" in measured(ones, DType.F32, max_rank_side=10).no_spectrum
    assert measured(ones * np.nan, DType.F32).no_spectrum == "not all values are finite"
    assert measured(ones * 0, DType.F32).no_spectrum == "all values are zero"
    assert measured(ones.astype("<i4"), DType.I32).no_spectrum == "not of real numbers"
    assert measured(ones, DType.F32).no_spectrum == ""


def test_scales_of_blocks_are_never_zero_so_their_rows_are_never_dead() -> None:
    found = measured(np.zeros((4, 8), "u1"), DType.F8_E8M0)
    assert (found.zeros, found.rows, found.is_constant) == (0, None, True)


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16])
def test_memory_does_not_grow_with_the_tensor(dtype: DType) -> None:
    block = np.random.default_rng(7).bytes(1 << 18)
    blocks = 256
    tensor = tensor_of(dtype, (blocks * len(block) // dtype.block_bytes,))
    measure(tensor_of(dtype, (len(block) // dtype.block_bytes,)), [block])  # compiles
    tracemalloc.start()
    measure(tensor, (block for _ in range(blocks)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # of 64 MiB


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16, DType.F4])
def test_more_or_fewer_values_than_the_shape_says_are_an_error(dtype: DType) -> None:
    for size in (3 * dtype.block_bytes, 5 * dtype.block_bytes):
        blocks = [bytes(dtype.block_bytes)] * (size // dtype.block_bytes)
        with pytest.raises(MalformedError, match="values"):
            measure(tensor_of(dtype, (4 * dtype.block_elements,)), blocks)


def test_parts_of_complex_numbers_count_one_by_one() -> None:
    array = np.array([1 + 2j, 0, 3 - 1j, np.nan], "<c8")
    found = measured(array, DType.C64)
    assert (found.count, found.zeros, found.minimum, found.maximum) == (8, 3, -1, 3)
    assert parts_per_element(DType.C64) == 2


def test_an_empty_tensor_has_no_extremes() -> None:
    found = measure(tensor_of(DType.F32, (0, 5)), [])
    assert (found.count, found.minimum, found.mean, found.rows) == (0, None, None, None)
    assert not found.is_all_zero
