"""What the files of a checkpoint say taken together: shards, architecture, progress."""

from collections.abc import Iterator, Mapping

from cairn.domain import Architecture, Assembly, Checkpoint, Layout, Scalar
from cairn.errors import UntrustedDataError
from cairn.formats import ASSEMBLERS, Files
from cairn.formats.safetensors_index import (
    disagreements,
    incomplete_series,
    read_index,
)
from cairn.workflows.companions import (
    TRAINER_STATE,
    architecture_of,
    first_architecture,
    progress_in,
    progress_of,
    shallowest,
)
from cairn.workflows.indexed_files import INDEX_SUFFIXES
from cairn.workflows.references import unreachable


def conclude(
    name: str,
    files: Files,
    layouts: dict[str, Layout],
    unread: dict[str, str],
    *,
    other_files_bytes: int,
) -> Checkpoint:
    """The checkpoint of these layouts with what the files beside them say.

    `unread` gains the files that turn out to be unreadable on the way.
    """

    def read_architecture(path: str) -> Architecture | None:
        with files[path].open() as source:
            return architecture_of(source)

    assemblies = tuple(_assemblies(files, layouts, unread))
    listed = [(path, layout.tensors) for path, layout in layouts.items()]
    listed += ((assembly.path, assembly.tensors) for assembly in assemblies)
    for path, tensors in listed:
        for part, why in unreachable(path, tensors, files):
            unread.setdefault(part, why)
    architecture = first_architecture(files, read_architecture, unread)
    notes = [*_index_notes(layouts, files, unread), *incomplete_series(layouts)]
    notes += (f"{found.path}: {note}" for found in assemblies for note in found.notes)
    said = [layout.metadata for layout in layouts.values()]
    said += (assembly.metadata for assembly in assemblies)
    progress = {**progress_in(said), **_trainer_progress(files, unread)}
    return Checkpoint(
        name=name,
        layouts=layouts,
        architecture=architecture,
        unread=unread,
        other_files_bytes=other_files_bytes,
        training=progress,
        notes=tuple(notes),
        assemblies=assemblies,
    )


def _assemblies(
    files: Files, layouts: Mapping[str, Layout], unread: dict[str, str]
) -> Iterator[Assembly]:
    """What each assembler puts together; a set of files that contradict each other is unread."""
    paths = sorted(files)
    for assembler in ASSEMBLERS:
        for anchor in assembler.anchors(paths):
            try:
                found = assembler.assemble(anchor, files, layouts)
            except UntrustedDataError as error:
                unread[anchor] = str(error)
                continue
            if found is not None:
                yield found


def _trainer_progress(files: Files, unread: dict[str, str]) -> dict[str, Scalar]:
    path = shallowest(files, TRAINER_STATE)
    if path is None:
        return {}
    with files[path].open() as source:
        try:
            return progress_of(source)
        except UntrustedDataError as error:
            unread[path] = str(error)
    return {}


def _index_notes(
    layouts: Mapping[str, Layout], files: Files, unread: dict[str, str]
) -> Iterator[str]:
    """Where the indexes of sharded checkpoints and the shards beside them disagree."""
    for path in sorted(files):
        if not path.endswith(INDEX_SUFFIXES):
            continue
        folder = path[: path.rfind("/") + 1]
        beside = {
            p.removeprefix(folder): found for p, found in layouts.items() if p.startswith(folder)
        }
        with files[path].open() as source:
            try:
                yield from disagreements(read_index(source), beside)
            except UntrustedDataError as error:
                unread[path] = str(error)
