"""What one predictor makes of what another made: a tensor that was turned and cast, or quantised.

| offset | bytes | field |
|---|---|---|
| 0 | 16 | name of the first predictor, ASCII, zero-padded |
| 16 | 16 | type label of what it makes, ASCII, zero-padded |
| 32 | 4 | u32 bytes that it makes |
| 36 | 16 | name of the second predictor, ASCII, zero-padded |
| 52 | 4 | u32 bytes of the first one's parameters |
| 56 | | parameters of the first, then those of the second |

The first gets the bases, the second what the first made as its only bases. Neither is this one.
"""

import struct
from collections.abc import Iterable

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import MAX_BASES, Base, BaseBytes
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch

_HEAD = struct.Struct("<16s16sI16sI")
_LABELS = {dtype.label.encode(): dtype for dtype in DType}

# As much as bases can hold.
MAX_BETWEEN_BYTES = MAX_BASES * MAX_PART_BYTES


def then_params(
    first: str, params: bytes, made: DType, made_bytes: int, second: str, second_params: bytes
) -> bytes:
    """The stored parameters; `made` is the type of the first one's `made_bytes`."""
    names = first.encode(), made.label.encode(), made_bytes, second.encode(), len(params)
    return _HEAD.pack(*names) + params + second_params


class ThenPredictor(Predictor):
    """Two predictors, one after the other."""

    name = "then"

    def __init__(self, predictors: Iterable[Predictor]) -> None:
        """Those that may be used; not this one, so that nothing goes in circles."""
        self._predictors = {predictor.name.encode(): predictor for predictor in predictors}

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """The second one's prediction from the first one's."""
        if len(params) < _HEAD.size:
            raise IntegrityError("the parameters of two predictors are cut short")
        first, label, between_bytes, second, params_bytes = _HEAD.unpack_from(params)
        made, split = _LABELS.get(label.rstrip(b"\0")), _HEAD.size + params_bytes
        if made is None or split > len(params) or between_bytes > MAX_BETWEEN_BYTES:
            raise IntegrityError("the parameters of two predictors make no sense")
        one, other = self._predictor(first), self._predictor(second)
        between = np.empty(between_bytes, np.uint8)
        one.predict_into(params[_HEAD.size : split], bases, between.data, made, scratch)
        other.predict_into(params[split:], _as_bases(between.data), out, dtype, scratch)

    def _predictor(self, name: bytes) -> Predictor:
        found = self._predictors.get(name.rstrip(b"\0"))
        if found is None:
            raise IntegrityError(f"no predictor {name!r} comes before or after another")
        return found


def _as_bases(made: memoryview) -> BaseBytes:
    """Bytes as bases no larger than those that are stored."""
    starts = range(0, len(made), MAX_PART_BYTES)
    bases = [Base(b"", at, min(at + MAX_PART_BYTES, len(made))) for at in starts]

    def read_into(base: Base, out: memoryview) -> None:
        out[:] = made[base.start : base.stop]

    return BaseBytes(bases, read_into)
