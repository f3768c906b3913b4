"""TorchScript archives (`torch.jit.save`): a compiled module's tensors, its classes, its code.

    <top>/data.pkl        pickle of the module; classes are named `__torch__.<module>.<class>`
    <top>/data/<key>      its storages, stored
    <top>/constants.pkl   pickle of a tuple: tensors the code calls `CONSTANTS.c0`, `.c1`, ...
    <top>/constants/<key> their storages
    <top>/code/**.py      TorchScript source; never compiled here, never run
    <top>/version, byteorder, bytecode.pkl, traced_inputs.pkl, *.debug_pkl

Everything else is as in torch zip files. Specification:
https://github.com/pytorch/pytorch/blob/main/torch/csrc/jit/docs/serialization.md.
"""

from cairn.domain import Layout, Role, Source, Storage
from cairn.formats.limits import MAX_ZIP_DIRECTORY_BYTES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Mapping, Value
from cairn.formats.reader import Reader
from cairn.formats.script_objects import ScriptSources, regroup
from cairn.formats.torch_archive import (
    PICKLE,
    PickleBudget,
    TorchArchive,
    read_member,
    storages_in,
)
from cairn.formats.torch_findings import Findings
from cairn.formats.torch_tensors import TorchTensors
from cairn.formats.torch_tree import TorchTree
from cairn.formats.zip_directory import directory_bytes

_MAGIC = b"PK\x03\x04"
_CONSTANTS = "constants.pkl"


class TorchScriptReader(Reader):
    """Reads what `torch.jit.save` writes of scripted, traced and frozen modules."""

    @property
    def name(self) -> str:
        """`torchscript`."""
        return "torchscript"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip with `<top>/data.pkl` and either `constants.pkl` or code beside it."""
        if not head.startswith(_MAGIC):
            return False
        raw = directory_bytes(source, MAX_ZIP_DIRECTORY_BYTES)
        return PICKLE.encode() in raw and (
            f"/{_CONSTANTS}".encode() in raw or b"/code/__torch__" in raw
        )

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its two pickles and the class headers in its code."""
        notes = Notes()
        budget = PickleBudget()
        archive = TorchArchive(source, notes, budget=budget)
        code = ScriptSources(archive.members, archive.top)
        regroup(archive.program.calls, code)
        found = _Compiled(source.name, notes)
        TorchTree(archive.tensors(), source.name, notes, found).walk(archive.value, None)
        storages = [*archive.used(), *_walk_constants(archive, source, found, budget)]
        archive.note_leftovers(notes)
        if code.count:
            notes.add(f"carries {code.count} files of TorchScript code, none of which is run")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(found.tensors),
            storages=tuple(sorted(storages, key=lambda storage: storage.span)),
            metadata={**found.metadata, "code_files": code.count},
            notes=notes.listed(),
            modules=found.modules,
            sections=found.sections,
        )


class _Compiled(Findings):
    """Findings of a compiled module, which does not become Python objects when it is loaded."""

    def add_class(self, class_name: str) -> None:
        """Nothing: the classes are in `modules`."""


def _walk_constants(
    archive: TorchArchive, source: Source, found: Findings, budget: PickleBudget
) -> tuple[Storage, ...]:
    """List the constants; in a frozen module they are what was trained."""
    name = f"{archive.top}/{_CONSTANTS}"
    if name not in archive.members.members:
        return ()
    role = Role.BUFFERS if found.tensors else Role.WEIGHTS
    program = read_member(archive.members, name, source, archive.notes, budget)
    storages = storages_in(archive.members, f"{archive.top}/constants/", source, 0)
    tree = TorchTree(TorchTensors(storages), source.name, archive.notes, found)
    tree.walk(_numbered(program.result()), role, "CONSTANTS")
    return storages.used()


def _numbered(constants: Value) -> Value:
    """The tuple of constants under the names that the code calls them by."""
    if not isinstance(constants, (tuple, list)):
        return constants
    named = ((f"c{index}", value) for index, value in enumerate(constants))
    return Mapping([part for pair in named for part in pair])
