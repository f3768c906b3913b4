"""Statistics of types that have at most 65,536 patterns: how often each occurs says everything."""

import numpy as np

from cairn.analysis import histograms, kernels
from cairn.analysis.floats import Codes, code_bits, code_values, smallest_normal
from cairn.domain import DType
from cairn.domain.statistics import TensorStatistics


class CountedValues:
    """Counts of the patterns of one narrow type."""

    def __init__(self, dtype: DType) -> None:
        bits = code_bits(dtype)
        assert bits is not None, dtype
        self._dtype = dtype
        self._counts = np.zeros(1 << bits, np.int64)

    def add(self, codes: Codes) -> None:
        """Take in the next patterns."""
        kernels.count_codes(codes, self._counts)

    def statistics(self) -> TensorStatistics:
        """What the counts say, rows and rank left out."""
        used = np.flatnonzero(self._counts)
        values, counts = code_values(self._dtype)[used], self._counts[used]
        finite = np.isfinite(values)
        known, times = values[finite].astype(np.float64), counts[finite]
        numbers = int(times.sum())
        mean = std = l2_norm = None
        if numbers:
            mean = float(known @ times) / numbers
            std = float(np.sqrt((known - mean) ** 2 @ times / numbers))
            l2_norm = float(np.sqrt(known**2 @ times))
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
