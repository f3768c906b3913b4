"""PyTorch's zip checkpoints (.bin, .pt, .pth, .ckpt since torch 1.6): a pickle and its storages.

    <top>/data.pkl        pickle of the saved value; storages are persistent ids
    <top>/byteorder       `little` or `big` (torch 2.1 on; absent means little)
    <top>/data/<key>      one storage each: stored, elements back to back
    <top>/version, .format_version, .storage_alignment, .data/serialization_id

`<top>` is any one folder. Members are stored without compression and aligned by padding
in the local header's extra field. Specification: `torch/serialization.py` and
https://github.com/pytorch/pytorch/blob/main/caffe2/serialize/inline_container.h.
"""

from cairn.domain import Layout, Source, Span
from cairn.errors import MalformedError, UnknownFormatError, UntrustedDataError
from cairn.formats.limits import MAX_DATA_PKL_BYTES, MAX_LAYOUT_OPCODES, MAX_ZIP_DIRECTORY_BYTES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import PickleProgram, read_program
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_file
from cairn.formats.sources import BytesSource
from cairn.formats.torch_pickle import note_anomalies
from cairn.formats.torch_storages import TorchStorages
from cairn.formats.torch_tensors import TorchTensors
from cairn.formats.torch_tree import TorchTree
from cairn.formats.zip_archive import Member, ZipArchive
from cairn.formats.zip_directory import find_directory

_PICKLE = "/data.pkl"
_LOCAL_HEADER_BYTES = 30
_MAX_BYTEORDER_BYTES = 16


class TorchZipReader(Reader):
    """Reads what `torch.save` writes; state dicts, training states, whole modules."""

    @property
    def name(self) -> str:
        """`torch-zip`."""
        return "torch-zip"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip whose first member, or any member, is `<top>/data.pkl`."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        name_bytes = int.from_bytes(head[26:28], "little")
        first = head[_LOCAL_HEADER_BYTES : _LOCAL_HEADER_BYTES + name_bytes]
        if first.endswith(_PICKLE.encode()):
            return True
        try:
            span = find_directory(source).span
        except UntrustedDataError:
            return False
        wanted = min(span.size_bytes, MAX_ZIP_DIRECTORY_BYTES)
        return _PICKLE.encode() + b"PK" in source.read_at(span.start, wanted) + b"PK"

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its directory, its local headers and `data.pkl`."""
        notes = Notes()
        archive = ZipArchive(source)
        top = _top_folder(archive, source)
        _check_byteorder(archive, top, source)
        program = _program(archive, archive.members[top + _PICKLE], source, notes)
        storages = TorchStorages(_storage_spans(archive, top, source), source.name)
        tree = TorchTree(TorchTensors(storages), source.name, notes)
        tree.walk(program.result(), role_of_file(source.name))
        _note_leftovers(archive, storages, notes)
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tree.tensors),
            storages=storages.used(),
            metadata=tree.metadata,
            notes=notes.listed(),
        )


def _top_folder(archive: ZipArchive, source: Source) -> str:
    pickles = [name for name in archive.members if name.endswith(_PICKLE)]
    if len(pickles) != 1:
        raise MalformedError(
            f"{len(pickles)} members named data.pkl, one expected", source=source.name
        )
    top = pickles[0].removesuffix(_PICKLE)
    if not top or "/" in top:
        raise MalformedError("data.pkl is not in a folder at the top", source=source.name)
    code = f"{top}/code/"
    if f"{top}/constants.pkl" in archive.members or any(
        n.startswith(code) for n in archive.members
    ):
        raise UnknownFormatError(
            "this is a TorchScript archive",
            source=source.name,
            hint="It carries code; save the module's state_dict instead",
        )
    return top


def _check_byteorder(archive: ZipArchive, top: str, source: Source) -> None:
    member = archive.members.get(f"{top}/byteorder")
    if member is None:
        return
    order, _ = archive.read(member, _MAX_BYTEORDER_BYTES)
    if order != b"little":
        raise MalformedError(
            f"the byte order is {order!r}",
            source=source.name,
            offset=member.data.start,
            hint="Only little-endian checkpoints are read; save it again on such a machine",
        )


def _program(archive: ZipArchive, member: Member, source: Source, notes: Notes) -> PickleProgram:
    data, intact = archive.read(member, MAX_DATA_PKL_BYTES)
    if not intact:
        notes.add("the CRC-32 of data.pkl is wrong or was left out; torch does not check it")
    if not member.stored:
        notes.add("data.pkl is compressed, which torch.save does not do")
    label = f"{source.name}!{member.name[:100]}"
    program = read_program(BytesSource(data, label), max_opcodes=MAX_LAYOUT_OPCODES)
    note_anomalies(program, notes)
    if program.failure is None and program.end < len(data):
        notes.add(f"{len(data) - program.end} bytes follow the end of the pickle")
    return program


def _storage_spans(archive: ZipArchive, top: str, source: Source) -> dict[str, Span]:
    prefix = f"{top}/data/"
    spans: dict[str, Span] = {}
    for member in archive:
        if not member.name.startswith(prefix) or member.name == prefix:
            continue
        if not member.stored:
            raise MalformedError(
                f"storage {member.name[:200]!r} is compressed",
                source=source.name,
                offset=member.data.start,
                hint="Tensors must be stored; load and save the file again with torch",
            )
        spans[member.name.removeprefix(prefix)] = member.data
    return spans


def _note_leftovers(archive: ZipArchive, storages: TorchStorages, notes: Notes) -> None:
    unused = storages.unused()
    if unused:
        total = sum(span.size_bytes for span in unused)
        notes.add(f"{len(unused)} storages of {total} bytes belong to no tensor listed here")
    if archive.stray_bytes:
        notes.add(f"{archive.stray_bytes} bytes between members belong to none")
