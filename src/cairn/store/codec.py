"""What a codec is: a reversible way to write the bytes of one part in fewer bytes."""

from abc import ABC, abstractmethod
from typing import ClassVar

from cairn.domain import DType

MAX_NAME_BYTES = 16  # the field in a pack record


class Codec(ABC):
    """Encodes and decodes parts of at most `MAX_PART_BYTES`; stateless and thread-safe.

    `name` is written into every record that uses the codec: at most 16 ASCII characters,
    never changed. A codec that changes its format takes a new name.
    """

    name: ClassVar[str]

    @abstractmethod
    def encode(self, plain: memoryview, dtype: DType | None) -> bytes | None:
        """The encoded bytes, or None if this codec is not for such data or saves too little.

        `dtype` says what the bytes hold (None: unknown). It is a hint about content: the
        length may be any, and need not be a multiple of the element size.
        """

    @abstractmethod
    def decode_into(self, stored: memoryview, out: memoryview, dtype: DType | None) -> None:
        """Fill `out` (as long as the plain bytes were) from what `encode` returned.

        `dtype` is the one given to `encode`.

        Raises:
            IntegrityError: `stored` is damaged; whatever it holds, nothing else is raised,
                nothing is written outside `out`, and memory stays in proportion to `out`.
                Damage may also go unnoticed: the caller checks the digest of `out`.
        """


def pays(stored_bytes: int, plain_bytes: int, percent: int = 3) -> bool:
    """Whether an encoding saves enough to be worth decoding: `percent` of 100 or more.

    Decoding costs 0.2-0.7 CPU s/GB, so a saving below 3 % buys disk dearly.
    """
    return stored_bytes < plain_bytes - plain_bytes * percent // 100
