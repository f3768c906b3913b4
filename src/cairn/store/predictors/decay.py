"""What an optimizer's moments become where no gradient comes: each step shrinks them a little.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 kind: 1 multiply, 2 move towards zero |
| 1 | 1 | zero |
| 2 | 2 | u16 steps, 1 .. `MAX_STEPS` |
| 4 | 4 | float32 factor: beta for kind 1, 1 - beta for kind 2 |

The bases, one after the other, are float32 moments of an earlier step. Adam
(https://arxiv.org/abs/1412.6980) keeps `beta * moment + (1 - beta) * gradient`: rows that no
batch touches, such as embeddings of rare tokens, decay by a known factor in every step. torch
computes the second moment as `moment.mul_(beta2)`, kind 1, and the first as
`moment.lerp_(gradient, 1 - beta1)`, kind 2, which its kernels fuse: `moment - factor * moment`
rounded once. Repeating exactly that gives the moment after many steps to the last bit, and a
good guess where gradients came.
"""

import struct

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch

MULTIPLY, TOWARDS_ZERO = 1, 2

# One multiplication per element and step: this many take about as long as reading the base.
MAX_STEPS = 256

_PARAMS = struct.Struct("<BBHf")


def decay_params(kind: int, steps: int, factor: float) -> bytes:
    """The parameters of a decay; `factor` is rounded to float32."""
    return _PARAMS.pack(kind, 0, steps, factor)


class DecayPredictor(Predictor):
    """A moment shrank by the same factor in each of some steps."""

    name = "decay"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,  # noqa: ARG002 - works in place
    ) -> None:
        """The bases' moments after the steps."""
        if len(params) != _PARAMS.size or dtype is not DType.F32 or len(out) % 4:
            raise IntegrityError(f"a decay of {dtype} with {len(params)} bytes of parameters")
        kind, zero, steps, factor = _PARAMS.unpack(params)
        if kind not in (MULTIPLY, TOWARDS_ZERO) or zero or not 1 <= steps <= MAX_STEPS:
            raise IntegrityError(f"a decay of kind {kind} over {steps} steps")
        bases.read_into(out)
        from cairn.store import decay_kernels  # numba takes half a second: only when needed

        values = np.frombuffer(out, dtype="<f4")
        if kind == MULTIPLY:
            decay_kernels.multiply(values, np.float32(factor), steps)
        else:
            decay_kernels.move_towards_zero(values, np.float64(factor), steps)
