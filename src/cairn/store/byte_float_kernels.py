"""Float32 into floats of one byte, by a table that holds every answer (`predictors/cast_f8.py`)."""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]


@compiled()
def round_by_table(singles: Array, table: Array, out: Array) -> None:
    """float32 bits (n,) to bytes (n,); `table` (65,536,) is by upper half and a sticky bit."""
    for i in range(singles.size):
        bits = np.uint32(singles[i])
        sticky = np.uint32(1) if bits & np.uint32(0xFFFF) else np.uint32(0)
        out[i] = table[(bits >> np.uint32(16)) | sticky]
