"""HDF5 files: groups of datasets, such as Keras' `.h5` and `.weights.h5`, read without libhdf5.

    superblock            signature, widths of addresses, end of file, root group
    object headers        messages: shape, type, layout, filters, attributes, members
    groups                B-tree and local heap of names, or link messages
    datasets              contiguous, compact, or in chunks that went through filters

The parts have byte tables of their own in `hdf5_addresses`, `hdf5_objects`, `hdf5_groups`,
`hdf5_dense`, `hdf5_types`, `hdf5_storage`, `hdf5_chunks` and `hdf5_attributes`. Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from cairn.domain import Layout, Source
from cairn.formats.hdf5_addresses import signature_at
from cairn.formats.hdf5_contents import read_contents
from cairn.formats.reader import Reader


class Hdf5Reader(Reader):
    """Reads the numeric datasets of any HDF5 file, and what Keras says in its attributes."""

    @property
    def name(self) -> str:
        """`hdf5`."""
        return "hdf5"

    def recognises(self, head: bytes, source: Source) -> bool:
        """The signature, at the start or behind a user block."""
        del source
        return signature_at(head) is not None

    def read(self, source: Source) -> Layout:
        """Lay the file out from its object headers."""
        contents = read_contents(source)
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(contents.tensors),
            storages=contents.storages,
            metadata=contents.metadata,
            notes=contents.notes.listed(),
        )
