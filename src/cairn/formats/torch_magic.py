"""The number that torch's checkpoints from before torch 1.6 begin with, as a pickle of its own.

Source: `MAGIC_NUMBER` in https://github.com/pytorch/pytorch/blob/main/torch/serialization.py.
"""

from cairn.formats.pickle_program import read_program
from cairn.formats.sources import BytesSource

MAGIC = 0x1950A86A20F9469CFC6C
_PICKLED_BYTES = 64  # no protocol needs more
_PICKLE_STARTS = (b"\x80", b"L")  # protocols 2 and later; 0 and 1


def begins_with_magic(head: bytes) -> bool:
    """Whether a file with this head begins with a pickle of the magic number."""
    if not head.startswith(_PICKLE_STARTS):
        return False
    program = read_program(BytesSource(head[:_PICKLED_BYTES]), max_opcodes=8)
    return program.failure is None and program.value == MAGIC
