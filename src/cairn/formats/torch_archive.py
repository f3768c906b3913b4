"""One torch archive opened: its pickle as a program that is not run, its storages where they lie.

The byte table is in `cairn.formats.readers.torch_zip`. Here because archives also lie one after the
other in the files of distributed checkpoints, and because assemblers need values that a flat layout
does not keep.
"""

from cairn.domain import Source, Span, Storage
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_DATA_PKL_BYTES, MAX_LAYOUT_OPCODES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import PickleProgram, Value, read_program
from cairn.formats.pickled_arrays import INLINE_BYTES, PickledArrays
from cairn.formats.read_programs import ReadPrograms
from cairn.formats.sources import BytesSource
from cairn.formats.torch_pickle import note_anomalies
from cairn.formats.torch_storages import TorchStorages
from cairn.formats.torch_tensors import TorchTensors
from cairn.formats.zip_archive import ZipArchive

PICKLE = "/data.pkl"
_MAX_BYTEORDER_BYTES = 16


class PickleBudget:
    """What the pickles of one file may cost together, however many archives it holds."""

    def __init__(self) -> None:
        self.bytes_left = MAX_DATA_PKL_BYTES
        self.opcodes_left = MAX_LAYOUT_OPCODES

    def spend(self, size_bytes: int, opcodes: int) -> None:
        """Count a pickle that was read."""
        self.bytes_left -= size_bytes
        self.opcodes_left -= opcodes


class TorchArchive:
    """The saved value and the storages of one archive.

    `start` is where the archive begins in a longer file: storages lie that much further on.
    `budget` is shared by the archives of one file.

    Raises:
        MalformedError: it is broken, big-endian, or its storages are compressed.
    """

    def __init__(
        self, source: Source, notes: Notes, *, start: int = 0, budget: PickleBudget | None = None
    ) -> None:
        budget = PickleBudget() if budget is None else budget
        archive = ZipArchive(source)
        top = _top_folder(archive, source)
        _check_byteorder(archive, top, source)
        self.notes = notes
        self.members = archive
        self.top = top
        self.program = read_member(archive, top + PICKLE, source, notes, budget)
        place = archive.members[top + PICKLE]
        self.arrays = PickledArrays(source.name, start + place.data.start) if place.stored else None
        self.storages = storages_in(archive, f"{top}/data/", source, start)
        self.value: Value = self.program.result()
        self.stray_bytes = archive.stray_bytes

    def tensors(self) -> TorchTensors:
        """What resolves the calls of its pickle."""
        return TorchTensors(self.storages, self.arrays)

    def used(self) -> tuple[Storage, ...]:
        """What holds bytes of the tensors that were resolved, by place."""
        inside = self.arrays.used() if self.arrays else []
        return tuple(sorted((*self.storages.used(), *inside), key=lambda found: found.span))

    def note_leftovers(self, notes: Notes) -> None:
        """Remark on bytes that nothing refers to, once the tensors are known."""
        unused = self.storages.unused()
        if unused:
            total = sum(span.size_bytes for span in unused)
            notes.add(f"{len(unused)} storages of {total} bytes belong to no tensor listed here")
        if self.stray_bytes:
            notes.add(f"{self.stray_bytes} bytes between members belong to none")


def item_name(start: int, name: str) -> str:
    """The name of what one archive of many in a file holds, from where the archive begins.

    `name` is what the tree of its value calls it; a value that is all the archive holds has none.
    """
    own = "" if name in ("tensor", "value") else f".{name}"
    return f"item@{start}{own}"


def _top_folder(archive: ZipArchive, source: Source) -> str:
    pickles = [name for name in archive.members if name.endswith(PICKLE)]
    if len(pickles) != 1:
        raise MalformedError(
            f"{len(pickles)} members named data.pkl, one expected", source=source.name
        )
    top = pickles[0].removesuffix(PICKLE)
    if not top or "/" in top:
        raise MalformedError("data.pkl is not in a folder at the top", source=source.name)
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


def read_member(
    archive: ZipArchive, name: str, source: Source, notes: Notes, budget: PickleBudget
) -> PickleProgram:
    """The pickle that is a member of an archive, with remarks on what is odd about it.

    Raises:
        LimitError: it exceeds what is left of the budget.
        MalformedError: the member does not inflate.
    """
    member = archive.members[name]
    base = name.rpartition("/")[2]
    data, intact = archive.read(member, budget.bytes_left)
    if not intact:
        notes.add(f"the CRC-32 of {base} is wrong or was left out; torch does not check it")
    if not member.stored:
        notes.add(f"{base} is compressed, which torch.save does not do")
    program = _program(source, member.name, data, budget.opcodes_left)
    budget.spend(len(data), program.opcodes)
    note_anomalies(program, notes)
    if program.failure is None and program.end < len(data):
        notes.add(f"{len(data) - program.end} bytes follow the end of the pickle")
    return program


def _program(source: Source, member: str, data: bytes, max_opcodes: int) -> PickleProgram:
    if isinstance(source, ReadPrograms):
        known = source.program_of(member, max_opcodes, INLINE_BYTES)
        if known is not None:
            return known
    content = BytesSource(data, f"{source.name}!{member[:100]}")
    return read_program(content, max_opcodes=max_opcodes, inline_bytes=INLINE_BYTES)


def storages_in(archive: ZipArchive, prefix: str, source: Source, start: int) -> TorchStorages:
    """The storages that lie in a folder of an archive, which begins at byte `start` of its file.

    Raises:
        MalformedError: one is compressed.
    """
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
        span = member.data
        spans[member.name.removeprefix(prefix)] = Span(start + span.start, start + span.stop)
    return TorchStorages(spans, source.name)
