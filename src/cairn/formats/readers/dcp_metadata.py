"""The `.metadata` file of a distributed checkpoint by itself: what it lists, without the files.

The fields and their source are in `cairn.formats.dcp_metadata`; the tensors are put together by
`cairn.formats.assemblers.dcp`, which needs the `.distcp` files beside it.
"""

from cairn.domain import Layout, Scalar, Source
from cairn.formats.dcp_metadata import DcpLayout, DcpMetadata, read_dcp_metadata
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_KEY_CHARS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader


class DcpMetadataReader(Reader):
    """Reads `.metadata` of torch.distributed.checkpoint, FSDP2 and Megatron's torch_dist."""

    @property
    def name(self) -> str:
        """`dcp-metadata`."""
        return "dcp-metadata"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A binary pickle whose first object has a field `state_dict_metadata`."""
        del source
        return head[:1] == b"\x80" and b"state_dict_metadata" in head

    def read(self, source: Source) -> Layout:
        """List what the checkpoint holds; no tensor lies in this file."""
        found = read_dcp_metadata(source)
        notes = Notes(found.notes)
        notes.add(
            f"names {len(found.tensors)} tensors and {len(found.objects)} objects"
            f" in {len(found.paths)} files"
        )
        return DcpLayout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=(),
            storages=(),
            metadata=_listed(found, notes),
            notes=notes.listed(),
            found=found,
        )


def _listed(found: DcpMetadata, notes: Notes) -> dict[str, Scalar]:
    listed: dict[str, Scalar] = {"version": found.version} if found.version else {}
    for name, tensor in found.tensors.items():
        if len(listed) >= MAX_METADATA_ITEMS:
            notes.add(f"more than {MAX_METADATA_ITEMS} tensors; the first are kept")
            break
        chunks = f"{len(tensor.chunks)} chunk{'s' if len(tensor.chunks) != 1 else ''}"
        text = f"{tensor.dtype.label} {list(tensor.shape)} in {chunks}"
        listed[printable(f"tensors.{name}", MAX_METADATA_KEY_CHARS)] = text
    return listed
