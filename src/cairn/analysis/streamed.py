"""Statistics of types of 32 bits and more, and of values that blocks decode to: in one pass."""

from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.analysis import histograms, kernels
from cairn.analysis.floats import Floats
from cairn.domain.statistics import TensorStatistics

Words = NDArray[np.uint32] | NDArray[np.uint64]


class StreamedValues:
    """Moments, extremes, bins and some distinct values of floats of one width."""

    def __init__(self, item_bytes: int) -> None:
        self._kind = np.dtype(f"f{item_bytes}")
        self._signed = np.dtype(f"i{item_bytes}")
        self._unsigned = np.dtype(f"u{item_bytes}")
        self._bins = histograms.empty_bins(item_bytes)
        self._shift = self._unsigned.type(histograms.bin_shift(item_bytes))
        self._moments = np.zeros(3)
        self._counts = np.zeros(4, np.int64)
        limits = np.iinfo(self._signed)
        self._extremes = (
            np.array([limits.max, limits.min], self._signed),
            np.zeros(1, self._unsigned),
        )

    def add(self, values: Floats) -> None:
        """Take in the next values."""
        bits = (values.view(self._signed), values.view(self._unsigned))
        kernels.add_floats(
            values, bits, self._shift, self._bins, self._moments, self._extremes, self._counts
        )

    def statistics(self, distinct: int) -> TensorStatistics:
        """What was counted, with how many values beside NaN were distinct; rows and rank left out.

        `distinct` leaves zeros out, which are known here.
        """
        plus, minus, up, down = (int(n) for n in self._counts)
        zeros = plus + minus
        nans = histograms.specials(self._bins) - up - down
        count = int(self._bins.sum())
        bins = self._bins.copy()
        histograms.take_out_zeros(bins, plus, minus)
        low, high = self._range()
        mean, std, l2_norm = self._held()
        is_exact = distinct <= kernels.DISTINCT_CAP
        return TensorStatistics(
            count=count,
            nans=nans,
            positive_infinities=up,
            negative_infinities=down,
            zeros=zeros,
            subnormals=histograms.subnormals(bins),
            minimum=low,
            maximum=high,
            mean=mean,
            std=std,
            l2_norm=l2_norm,
            distinct=distinct + (zeros > 0) if is_exact else kernels.DISTINCT_CAP,
            distinct_is_exact=is_exact,
            octaves=histograms.octaves(bins),
            histogram=histograms.around_mean(bins, zeros, low, high, mean, std)
            if low is not None and high is not None and mean is not None and std is not None
            else None,
        )

    def _range(self) -> tuple[float, float] | tuple[None, None]:
        """The extremes as floats; `kernels` says how the integers are ordered."""
        if not self._moments[kernels.COUNT]:
            return None, None
        signed, unsigned = (part.view(self._kind) for part in self._extremes)
        has_negative = np.signbit(unsigned[0])
        has_positive = not np.signbit(signed[kernels.MOST])
        low = unsigned[0] if has_negative else signed[kernels.LEAST]
        high = signed[kernels.MOST] if has_positive else signed[kernels.LEAST]
        return float(low) + 0.0, float(high) + 0.0  # a zero has no sign here

    def _held(self) -> tuple[float | None, float | None, float | None]:
        """Mean, deviation and norm, as far as a double holds what they are computed from."""
        count, mean, squares = (float(part) for part in self._moments)
        if not count or not isfinite(mean):
            return None, None, None
        total = squares + count * mean * mean
        if not isfinite(total) or (total < _SMALLEST_SQUARES and self._has_magnitude()):
            return mean, None, None
        return mean, sqrt(squares / count), sqrt(total)

    def _has_magnitude(self) -> bool:
        low, high = self._range()
        return bool(low or high)


_SMALLEST_SQUARES = 1e-290
"""Sums of squares below this have lost digits to underflow."""


class DistinctWords:
    """Some distinct words of one width: exact until there are too many to count."""

    def __init__(self, magnitude: int, largest: int, item_bytes: int) -> None:
        kind: Any = np.dtype(f"u{item_bytes}").type
        self._magnitude, self._largest = kind(magnitude), kind(largest)
        self._keys = np.zeros(kernels.HASH_PLACES, kind)
        self.count = 0

    def add(self, words: Words) -> None:
        """Take in the next words."""
        if self.count <= kernels.DISTINCT_CAP:
            self.count = kernels.add_distinct(
                words, self._magnitude, self._largest, self._keys, self.count
            )
