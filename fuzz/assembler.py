"""The target: a folder goes through one assembler, then through the reading of values.

    python -m fuzz.assembler NAME CORPUS [libFuzzer options]

An assembler may give an `Assembly`, nothing, or raise `UntrustedDataError`, and what it gives
must lie in the files; anything else is a finding. https://github.com/google/atheris
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

import atheris

from fuzz.late_imports import import_all

with atheris.instrument_imports(include=["cairn"]):
    from cairn.domain import Assembly, Source
    from cairn.errors import UntrustedDataError
    from cairn.formats import ASSEMBLERS, Assembler, BytesSource
    from cairn.formats.folder import beside
    from cairn.formats.values import blocks
    from cairn.testing.assemblers import Contents, assembled, check, files_of, layouts_of

    import_all("cairn.formats")

from fuzz.folders import unpacked

MAX_TENSORS, MAX_BLOCKS = 8, 4  # enough to reach every way of reading, little enough to be fast


def put_together(assembler: Assembler, data: bytes) -> None:
    """What is done with the files of a stranger, as far as their names and bytes decide it."""
    contents = unpacked(data)
    outcome = assembled(assembler, files_of(contents), layouts_of(contents))
    for found in outcome.values():
        if isinstance(found, Assembly):
            check(found, contents)
            read_values(found, contents)


def read_values(found: Assembly, contents: Contents) -> None:
    """The first values of the first tensors."""

    @contextmanager
    def open_part(reference: str) -> Iterator[Source]:
        yield BytesSource(contents[beside(found.path, reference)], reference)

    own = contents.get(found.path)
    source = None if own is None else BytesSource(own, found.path)
    for tensor in found.tensors[:MAX_TENSORS]:
        with suppress(UntrustedDataError):
            for _ in islice(blocks(tensor, source, open_part, 1 << 16), MAX_BLOCKS):
                pass


def main() -> None:
    """Fuzz the assembler named first; the other arguments are libFuzzer's."""
    assembler = ASSEMBLERS.get(sys.argv.pop(1))
    atheris.Setup(sys.argv, lambda data: put_together(assembler, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
