"""What a predictor is: a function that makes (nearly) a part's bytes from bytes already stored."""

from abc import ABC, abstractmethod
from typing import ClassVar

from cairn.domain import DType
from cairn.store.bases import BaseBytes
from cairn.store.scratch import Scratch

MAX_PARAMS_BYTES = 1 << 20


class Predictor(ABC):
    """Makes the bytes that a derived part is compared with; stateless and thread-safe.

    What it returns for given parameters and bases is the same on every machine and for ever:
    a part kept as its difference to a prediction is lost when the prediction changes. `name`
    is written into every record that uses it: at most 16 ASCII characters, never changed. A
    predictor that changes what it returns takes a new name.
    """

    name: ClassVar[str]

    @abstractmethod
    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """Fill `out` with bytes near to those of the part.

        Raises:
            IntegrityError: parameters and bases do not fit each other: the record is damaged.
        """
