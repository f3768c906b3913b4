"""PyTorch's checkpoints from before torch 1.6: five pickles in a row, then the storages.

    pickle   119547037146038801333356   the magic number, 0x1950a86a20f9469cfc6c
    pickle   1001                       the protocol of this layout
    pickle   {little_endian, ...}       about the machine; storages are little-endian on any
    pickle   the saved value            storages are persistent ids
    pickle   [key, ...]                 the storages in the order in which they follow
    i64      elements of a storage, little-endian, then the elements; for each key

A persistent id is `("storage", class, key, location, elements, view)`, where `view` is None or
`(key, offset, elements)` for a storage that shows a part of another. Specification:
`_legacy_save` and `_legacy_load` in
https://github.com/pytorch/pytorch/blob/main/torch/serialization.py.
"""

from cairn.domain import Layout, Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_DATA_PKL_BYTES, MAX_LAYOUT_OPCODES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Mapping, PickleProgram, Value, read_program
from cairn.formats.pickled_arrays import INLINE_BYTES, PickledArrays
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_file
from cairn.formats.sources import read_exactly
from cairn.formats.torch_magic import MAGIC, begins_with_magic
from cairn.formats.torch_pickle import note_anomalies, resolve_classes
from cairn.formats.torch_storages import TorchStorages, item_sizes
from cairn.formats.torch_tensors import TorchTensors
from cairn.formats.torch_tree import TorchTree

_PROTOCOL = 1001
_MAX_SMALL_OPCODES = 200  # the description of the machine takes about 40


class TorchLegacyReader(Reader):
    """Reads what `torch.save` wrote before torch 1.6, and writes when told to."""

    @property
    def name(self) -> str:
        """`torch-legacy`."""
        return "torch-legacy"

    def recognises(self, head: bytes, source: Source) -> bool:  # noqa: ARG002
        """A file that begins with a pickle of the magic number."""
        return begins_with_magic(head)

    def read(self, source: Source) -> Layout:
        """Lay the file out from its pickles and the counts before the storages."""
        notes = Notes()
        pickles = _Pickles(source, notes)
        if pickles.next(_MAX_SMALL_OPCODES).value != MAGIC:
            raise MalformedError("the magic number is missing", source=source.name)
        protocol = pickles.next(_MAX_SMALL_OPCODES).value
        if protocol != _PROTOCOL:
            raise MalformedError(
                f"the protocol is not {_PROTOCOL}", source=source.name, offset=pickles.end
            )
        _note_machine(pickles.next(_MAX_SMALL_OPCODES).value, notes)
        program = pickles.next(MAX_LAYOUT_OPCODES)
        resolve_classes(program, notes)
        note_anomalies(program, notes)
        keys = pickles.next(MAX_LAYOUT_OPCODES).value
        places = _storage_spans(source, pickles.end, keys, program)
        storages = TorchStorages(places, source.name)
        arrays = PickledArrays(source.name)
        tree = TorchTree(TorchTensors(storages, arrays), source.name, notes)
        tree.walk(program.value, role_of_file(source.name))
        unused = storages.unused()
        if unused:
            total = sum(span.size_bytes for span in unused)
            notes.add(f"{len(unused)} storages of {total} bytes belong to no tensor listed here")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tree.found.tensors),
            storages=tuple(sorted((*storages.used(), *arrays.used()), key=lambda s: s.span)),
            metadata=tree.found.metadata,
            notes=notes.listed(),
            modules=tree.found.modules,
            sections=tree.found.sections,
        )


class _Pickles:
    """The pickles at the start of a file, one after the other."""

    def __init__(self, source: Source, notes: Notes) -> None:
        self.end = 0
        self._source = source
        self._notes = notes

    def next(self, max_opcodes: int) -> PickleProgram:
        """The pickle that begins where the last one ended.

        Raises:
            MalformedError: it breaks off.
            LimitError: it is too long.
        """
        program = read_program(
            self._source, self.end, max_opcodes=max_opcodes, inline_bytes=INLINE_BYTES
        )
        program.result()
        if program.end - self.end > MAX_DATA_PKL_BYTES:
            raise LimitError(
                f"a pickle of more than {MAX_DATA_PKL_BYTES} bytes",
                source=self._source.name,
                offset=self.end,
            )
        self.end = program.end
        return program


def _note_machine(value: Value, notes: Notes) -> None:
    match value:
        case Mapping(items=items):
            for key, known in zip(items[::2], items[1::2], strict=False):
                if key == "little_endian" and known is False:
                    notes.add("written on a big-endian machine; its storages are little-endian")


def _storage_spans(
    source: Source, start: int, keys: Value, program: PickleProgram
) -> dict[str, Span]:
    """Where each storage lies: its count stands before it, its class is in the pickle."""
    sizes = item_sizes(program.persistent_ids)
    if not isinstance(keys, list):
        raise MalformedError("the list of storages is no list", source=source.name, offset=start)
    spans: dict[str, Span] = {}
    at = start
    for key in keys:
        if not isinstance(key, str) or key in spans or key not in sizes:
            raise MalformedError(
                "the list of storages names one twice, or one that the pickle does not refer to",
                source=source.name,
                offset=start,
            )
        count = int.from_bytes(
            read_exactly(source, at, 8, "the count of a storage"), "little", signed=True
        )
        stop = at + 8 + count * sizes[key]
        if count < 0 or stop > source.size_bytes:
            raise MalformedError(
                f"storage {key[:40]!r} has {count} elements of {sizes[key]} bytes,"
                f" the file ends at byte {source.size_bytes}",
                source=source.name,
                offset=at,
            )
        spans[key] = Span(at + 8, stop)
        at = stop
    if at != source.size_bytes:
        raise MalformedError(
            f"{source.size_bytes - at} bytes follow the last storage",
            source=source.name,
            offset=at,
        )
    return spans
