"""Bare pickles (.pkl) of NumPy arrays, as detectron2, scikit-learn and many scripts write them.

    offset   size   meaning
    0        2      80, the protocol: 2 to 5
    2        n      opcodes up to STOP, the end of the file; arrays lie within

Which opcodes make an array is in `cairn.formats.pickled_arrays`. The pickle is read as a program
that is never run. Specification: PEP 307, 3154, 574 and
https://github.com/python/cpython/blob/main/Lib/pickletools.py.
"""

from cairn.domain import Layout, Source
from cairn.errors import MalformedError, UnknownFormatError
from cairn.formats.limits import MAX_LAYOUT_OPCODES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import PickleProgram, read_program
from cairn.formats.pickled_arrays import INLINE_BYTES, PickledArrays
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_file
from cairn.formats.signatures import RESAVE
from cairn.formats.torch_pickle import note_anomalies
from cairn.formats.torch_storages import TorchStorages
from cairn.formats.torch_tensors import TorchTensors
from cairn.formats.torch_tree import TorchTree

_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
# Their pickles have raw arrays between the opcodes, or tensors whose storage is a file within.
_FOREIGN = {
    "joblib.": "a joblib pickle",
    "torch.storage._load_from_bytes": "a pickle of torch tensors",
}


class PickleFileReader(Reader):
    """Reads pickles of arrays in dictionaries, lists and objects, by place and not by value."""

    @property
    def name(self) -> str:
        """`pickle`."""
        return "pickle"

    def recognises(self, head: bytes, source: Source) -> bool:  # noqa: ARG002
        """A file that begins like a binary pickle."""
        return head.startswith(_PROTOCOLS)

    def read(self, source: Source) -> Layout:
        """Lay the file out from its opcodes; elements are passed over where they are long."""
        notes = Notes()
        program = read_program(source, max_opcodes=MAX_LAYOUT_OPCODES, inline_bytes=INLINE_BYTES)
        _refuse_foreign(program, source)
        value = program.result()
        note_anomalies(program, notes)
        if program.end != source.size_bytes:
            raise MalformedError(
                f"{source.size_bytes - program.end} bytes follow the end of the pickle",
                source=source.name,
                offset=program.end,
            )
        arrays = PickledArrays(source.name)
        tree = TorchTree(TorchTensors(TorchStorages({}, source.name), arrays), source.name, notes)
        tree.walk(value, role_of_file(source.name))
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tree.found.tensors),
            storages=tuple(sorted(arrays.used(), key=lambda storage: storage.span)),
            metadata=tree.found.metadata,
            notes=notes.listed(),
            modules=tree.found.modules,
            sections=tree.found.sections,
        )


def _refuse_foreign(program: PickleProgram, source: Source) -> None:
    for found in program.globals:
        for name, what in _FOREIGN.items():
            if found.full_name.startswith(name):
                raise UnknownFormatError(
                    f"this is {what}, which is not read yet", source=source.name, hint=RESAVE
                )
