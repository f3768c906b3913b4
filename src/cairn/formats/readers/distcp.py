"""The files of a distributed checkpoint (`__0_0.distcp`): torch archives one after the other.

    offset    size    meaning
    0         n       what `torch.save` writes for one tensor or one object: a whole zip archive
    n         m       the next one, without a gap, and so on to the end of the file

Each archive counts its offsets from its own first byte. Names are not in here but in `.metadata`
beside, so tensors are called by where their archive begins: `item@4544`. A file of one archive
is a plain torch zip. Source: `_write_item` in `torch/distributed/checkpoint/filesystem.py`.
"""

from dataclasses import replace

from cairn.domain import Layout, Scalar, Source, Storage, TensorInfo
from cairn.errors import LimitError, UntrustedDataError
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_TENSORS
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.sources import WindowSource
from cairn.formats.torch_archive import PICKLE, TorchArchive, item_name
from cairn.formats.torch_tree import TorchTree
from cairn.formats.zip_directory import archives_end_to_end, find_start

_LOCAL_HEADER_BYTES = 30


class DistcpReader(Reader):
    """Reads the tensor files of torch.distributed.checkpoint and FSDP2, each by itself."""

    @property
    def name(self) -> str:
        """`distcp`."""
        return "distcp"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A torch archive at the start of the file and another one at its end."""
        name_bytes = int.from_bytes(head[26:28], "little")
        first = head[_LOCAL_HEADER_BYTES : _LOCAL_HEADER_BYTES + name_bytes]
        if head[:4] != b"PK\x03\x04" or not first.endswith(PICKLE.encode()):
            return False
        try:
            return find_start(source, source.size_bytes) > 0
        except UntrustedDataError:
            return False

    def read(self, source: Source) -> Layout:
        """Lay out every archive from its directory, its local headers and its pickle."""
        notes = Notes()
        tensors: list[TensorInfo] = []
        storages: list[Storage] = []
        metadata: dict[str, Scalar] = {}
        for span in archives_end_to_end(source):
            window = WindowSource(source, span.start, span.stop, f"{source.name}@{span.start}")
            archive = TorchArchive(window, notes, start=span.start)
            tree = TorchTree(archive.tensors(), window.name, notes)
            tree.walk(archive.value, None)
            archive.note_leftovers(notes)
            tensors += (replace(t, name=item_name(span.start, t.name)) for t in tree.found.tensors)
            storages += archive.used()
            for key, value in tree.found.metadata.items():
                if len(metadata) < MAX_METADATA_ITEMS:
                    metadata[item_name(span.start, key)] = value
            if len(tensors) > MAX_TENSORS:
                raise LimitError(f"more than {MAX_TENSORS} tensors", source=source.name)
        notes.add("a part of a distributed checkpoint; `.metadata` beside it has the names")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tensors),
            storages=tuple(storages),
            metadata=metadata,
            notes=notes.listed(),
        )
