"""HDF5 files: whether they lead out, and the models Keras describes in their attributes."""

from typing import ClassVar

from cairn.domain import Source
from cairn.formats import READERS, BytesSource
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.extractor import Extractor
from cairn.scanner.pickle_notes import note_hidden
from cairn.scanner.tensor_starts import note_tensor_starts
from cairn.scanner.trace import Trace

# Attributes of PyTables and pandas, which keep objects as pickles in arrays and attributes:
# https://www.pytables.org/usersguide/file_format.html
_PICKLING = frozenset(("PYTABLES_FORMAT_VERSION", "PSEUDOATOM", "pandas_type"))


class Hdf5Extractor(Extractor):
    """What begins with the signature, or has it behind a user block."""

    version: ClassVar[int] = 3

    @property
    def name(self) -> str:
        """`hdf5`."""
        return "hdf5"

    def claims(self, head: bytes, source: Source) -> bool:
        """As the reader says."""
        return READERS.get(self.name).recognises(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Note ways out, take attributes that are JSON apart, look at how datasets begin."""
        # Imported here: most files are no HDF5, and it takes as long as to scan a small one.
        from cairn.formats.hdf5_contents import read_contents
        from cairn.scanner.hdf5_ways_out import ways_out

        for via, path in ways_out(source):
            trace.note(Reference(trace.at(pointer=path[:300]), via, path[:300]))
        contents = read_contents(source)
        for path, attributes in contents.attributes.items():
            for key, value in attributes.items():
                if isinstance(value, str) and value.lstrip().startswith(("{", "[{")):
                    name = f"{path}.{key}.json"[-300:].lstrip(".")
                    trace.enter(name, BytesSource(value.encode("utf-8", "replace"), name))
        if any(_PICKLING & attributes.keys() for attributes in contents.attributes.values()):
            note_hidden(source, 0, trace)
        note_tensor_starts(source, contents.tensors, trace)
