"""Statistics of types that have at most 65,536 patterns: how often each occurs says everything."""

import numpy as np

from cairn.analysis import histograms, kernels
from cairn.analysis.floats import Codes, code_bits, code_values, smallest_normal
from cairn.domain import DType
from cairn.domain.statistics import TensorStatistics

_MAX_RECENT = (1 << 32) - 1


class CountedValues:
    """Counts of the patterns of one narrow type."""

    def __init__(self, dtype: DType) -> None:
        bits = code_bits(dtype)
        assert bits is not None, dtype
        self._dtype = dtype
        self._counts = np.zeros(1 << bits, np.int64)
        # Half as wide as what it is added to: that much more of it stays in the L1 cache.
        self._recent = np.zeros(1 << bits, np.uint32)
        self._recent_numbers = 0

    def add(self, codes: Codes) -> None:
        """Take in the next patterns, at most 2^31 of them."""
        if self._recent_numbers + codes.size > _MAX_RECENT:
            self._settle()
        kernels.count_codes(codes, self._recent)
        self._recent_numbers += codes.size

    def _settle(self) -> None:
        self._counts += self._recent
        self._recent[:] = 0
        self._recent_numbers = 0

    def statistics(self) -> TensorStatistics:
        """What the counts say, rows and rank left out."""
        self._settle()
        used = np.flatnonzero(self._counts)
        values, counts = code_values(self._dtype)[used], self._counts[used]
        finite = np.isfinite(values)
        known, times = values[finite].astype(np.float64), counts[finite]
        numbers = int(times.sum())
        mean = std = l2_norm = None
        if numbers:
            # No `@`: from 10,000 patterns on BLAS uses threads that then wait busily for more.
            mean = float((known * times).sum()) / numbers
            std = float(np.sqrt(((known - mean) ** 2 * times).sum() / numbers))
            l2_norm = float(np.sqrt((known**2 * times).sum()))
        bins = histograms.weighted_bins(values, counts)
        zero = values == 0
        negative = int(counts[zero & np.signbit(values)].sum())
        zeros = int(counts[zero].sum())
        histograms.take_out_zeros(bins, zeros - negative, negative)
        tiny = (known != 0) & (np.abs(known) < smallest_normal(self._dtype))
        return TensorStatistics(
            count=int(counts.sum()),
            nans=int(counts[np.isnan(values)].sum()),
            positive_infinities=int(counts[values == np.inf].sum()),
            negative_infinities=int(counts[values == -np.inf].sum()),
            zeros=zeros,
            subnormals=int(times[tiny].sum()),
            minimum=float(known.min()) if numbers else None,
            maximum=float(known.max()) if numbers else None,
            mean=mean,
            std=std,
            l2_norm=l2_norm,
            distinct=np.unique(values[~np.isnan(values)]).size,
            octaves=histograms.octaves(bins),
            histogram=histograms.around_mean(bins, zeros, known.min(), known.max(), mean, std)
            if mean is not None and std is not None
            else None,
        )
