"""PyTorch's zip checkpoints (.bin, .pt, .pth, .ckpt since torch 1.6): a pickle and its storages.

    <top>/data.pkl        pickle of the saved value; storages are persistent ids
    <top>/byteorder       `little` or `big` (torch 2.1 on; absent means little)
    <top>/data/<key>      one storage each: stored, elements back to back
    <top>/version, .format_version, .storage_alignment, .data/serialization_id

`<top>` is any one folder. Members are stored without compression and aligned by padding
in the local header's extra field. Specification: `torch/serialization.py` and
https://github.com/pytorch/pytorch/blob/main/caffe2/serialize/inline_container.h.
"""

from cairn.domain import Layout, Source
from cairn.errors import UntrustedDataError
from cairn.formats.limits import MAX_ZIP_DIRECTORY_BYTES
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_file
from cairn.formats.torch_archive import PICKLE, TorchArchive
from cairn.formats.torch_tree import TorchTree
from cairn.formats.zip_directory import find_directory

_LOCAL_HEADER_BYTES = 30


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
        if first.endswith(PICKLE.encode()):
            return True
        try:
            span = find_directory(source).span
        except UntrustedDataError:
            return False
        wanted = min(span.size_bytes, MAX_ZIP_DIRECTORY_BYTES)
        return PICKLE.encode() + b"PK" in source.read_at(span.start, wanted) + b"PK"

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its directory, its local headers and `data.pkl`."""
        notes = Notes()
        archive = TorchArchive(source, notes)
        tree = TorchTree(archive.tensors(), source.name, notes)
        tree.walk(archive.value, role_of_file(source.name))
        archive.note_leftovers(notes)
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tree.found.tensors),
            storages=archive.used(),
            metadata=tree.found.metadata,
            notes=notes.listed(),
            modules=tree.found.modules,
            sections=tree.found.sections,
        )
