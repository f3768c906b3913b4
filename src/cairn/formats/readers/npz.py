"""Several NumPy arrays in a zip archive, as `numpy.savez` and `savez_compressed` write them.

    <name>.npy    one array each, stored or deflated; the bytes of a `.npy` file

Names may contain `/`. The header of an array is described in `cairn.formats.npy_header`, the
archive in `cairn.formats.zip_archive`. Specification:
https://numpy.org/doc/stable/reference/generated/numpy.savez.html.
"""

from cairn.domain import DType, Layout, Source, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_TENSORS
from cairn.formats.naming import is_deceptive
from cairn.formats.notes import Notes
from cairn.formats.npy_header import FIRST_BYTES, NpyHeader, header_bytes, parse_header
from cairn.formats.npy_tensors import deflated_tensor, plain_tensor
from cairn.formats.reader import Reader
from cairn.formats.zip_archive import Member, ZipArchive

_SUFFIX = ".npy"
_LOCAL_HEADER_BYTES = 30


class NpzReader(Reader):
    """Reads `.npz`; of deflated arrays only the headers are inflated."""

    @property
    def name(self) -> str:
        """`npz`."""
        return "npz"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip whose first member is a `.npy`."""
        del source
        name_bytes = int.from_bytes(head[26:28], "little")
        first = head[_LOCAL_HEADER_BYTES : _LOCAL_HEADER_BYTES + name_bytes]
        return head.startswith(b"PK\x03\x04") and first.endswith(_SUFFIX.encode())

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its directory and the headers of its members."""
        archive = ZipArchive(source)
        if len(archive.members) > MAX_TENSORS:
            raise LimitError(
                f"{len(archive.members)} arrays, at most {MAX_TENSORS} are listed",
                source=source.name,
            )
        notes = Notes()
        tensors: list[TensorInfo] = []
        storages: list[Storage] = []
        for member in archive:
            if not member.name.endswith(_SUFFIX):
                notes.add(f"{member.name[:200]} is not an array")
                continue
            tensor = _tensor(archive, member, source.name, notes)
            if tensor is None:
                continue
            tensors.append(tensor)
            # What is deflated are bytes to everybody but the reader of values.
            span, dtype = (member.data, DType.U8) if tensor.pieces else (tensor.span, tensor.dtype)
            if span.size_bytes:
                storages.append(Storage(span, dtype))
        if archive.stray_bytes:
            notes.add(f"{archive.stray_bytes} bytes between members belong to none")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tensors),
            storages=tuple(storages),
            notes=notes.listed(),
        )


def _tensor(archive: ZipArchive, member: Member, source: str, notes: Notes) -> TensorInfo | None:
    name = member.name.removesuffix(_SUFFIX)
    if is_deceptive(name):
        notes.add("tensor names contain control or invisible characters")
    header = _header(archive, member, f"{source}!{member.name[:100]}")
    if header.remark:
        notes.add(f"{name[:200]}: {header.remark}")
    if not member.stored:
        return deflated_tensor(name, header, member.data)
    elements = Span(member.data.start + header.size_bytes, member.data.stop)
    return plain_tensor(name, header, elements)


def _header(archive: ZipArchive, member: Member, label: str) -> NpyHeader:
    start = archive.read_start(member, FIRST_BYTES)
    size = header_bytes(start, label)
    if size > member.size_bytes:
        raise MalformedError("the archive member ends inside the array's header", source=label)
    raw = start[:size] if size <= len(start) else archive.read_start(member, size)
    header = parse_header(raw, label)
    if header.data_bytes is not None and size + header.data_bytes != member.size_bytes:
        raise MalformedError(
            f"the array needs {header.data_bytes} bytes, the archive member has"
            f" {member.size_bytes - size} after its header",
            source=label,
        )
    return header
