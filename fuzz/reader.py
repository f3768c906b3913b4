"""The target: bytes go through one reader, then through the reading of values.

    python -m fuzz.reader NAME CORPUS [libFuzzer options]

A reader may give a `Layout` or raise `UntrustedDataError`; anything else, and anything that
takes too long or too much memory, is a finding. https://github.com/google/atheris
"""

import sys
from contextlib import suppress
from itertools import islice

import atheris

from fuzz.late_imports import import_all

with atheris.instrument_imports(include=["cairn"]):
    from cairn.errors import UntrustedDataError
    from cairn.formats import READERS, BytesSource, Reader
    from cairn.formats.values import blocks

    import_all("cairn.formats")

MAX_TENSORS, MAX_BLOCKS = 8, 4  # enough to reach every way of reading, little enough to be fast


def read(reader: Reader, data: bytes) -> None:
    """What is done with a file from outside, as far as its bytes decide it."""
    source = BytesSource(data, "fuzz")
    reader.recognises(data[:4096], source)
    with suppress(UntrustedDataError):
        layout = reader.read(source)
        for tensor in layout.tensors[:MAX_TENSORS]:
            with suppress(UntrustedDataError):
                for _ in islice(blocks(tensor, source, None, 1 << 16), MAX_BLOCKS):
                    pass


def main() -> None:
    """Fuzz the reader named first; the other arguments are libFuzzer's."""
    reader = READERS.get(sys.argv.pop(1))
    atheris.Setup(sys.argv, lambda data: read(reader, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
