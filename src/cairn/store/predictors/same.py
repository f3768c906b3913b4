"""The bytes of the bases as they are: the same tensor in a parent, or an earlier step.

No parameters. The bases, one after the other, are the prediction. With an exact residual this
also keeps tensors that were cut out of, or put together from, others.
"""

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch


class SamePredictor(Predictor):
    """A value is what it was in the base."""

    name = "same"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002 - bytes are bytes
        scratch: Scratch,  # noqa: ARG002
    ) -> None:
        """The bases, joined."""
        if len(params):
            raise IntegrityError("this predictor has no parameters")
        bases.read_into(out)
