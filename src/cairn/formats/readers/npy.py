"""One NumPy array in a file, as `numpy.save` writes it.

The bytes are described in `cairn.formats.npy_header`. An array has no name: it is listed as
`array`. Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from cairn.domain import Layout, Source, Span, Storage
from cairn.errors import MalformedError
from cairn.formats.notes import Notes
from cairn.formats.npy_header import FIRST_BYTES, MAGIC, header_bytes, parse_header
from cairn.formats.npy_tensors import plain_tensor
from cairn.formats.reader import Reader
from cairn.formats.sources import read_exactly

_NAME = "array"


class NpyReader(Reader):
    """Reads `.npy` of versions 1 to 3; arrays of objects are named and left alone."""

    @property
    def name(self) -> str:
        """`npy`."""
        return "npy"

    def recognises(self, head: bytes, source: Source) -> bool:
        """The magic."""
        del source
        return head.startswith(MAGIC)

    def read(self, source: Source) -> Layout:
        """Lay the file out from its header."""
        start = source.read_at(0, FIRST_BYTES)
        size = header_bytes(start, source.name)
        header = parse_header(read_exactly(source, 0, size, "the header"), source.name)
        end = source.size_bytes
        if header.data_bytes is not None and size + header.data_bytes != end:
            raise MalformedError(
                f"the array needs {header.data_bytes} bytes, the file has {end - size} after"
                " its header",
                source=source.name,
                hint="The file is truncated, or something was appended",
            )
        notes = Notes()
        if header.remark:
            notes.add(header.remark)
        tensor = plain_tensor(_NAME, header, Span(size, end))
        return Layout(
            format=self.name,
            size_bytes=end,
            tensors=() if tensor is None else (tensor,),
            storages=(Storage(tensor.span, tensor.dtype),)
            if tensor is not None and tensor.span.size_bytes
            else (),
            notes=notes.listed(),
        )
