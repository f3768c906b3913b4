"""What the files of a checkpoint say taken together: shards, architecture, progress, parts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cairn.domain import Architecture, Assembly, Checkpoint, Fact, Layout, Module
from cairn.errors import UntrustedDataError
from cairn.formats import ASSEMBLERS, Files
from cairn.formats.folder import folder_of
from cairn.formats.limits import MAX_ASSEMBLIES, MAX_INDEXES
from cairn.formats.module_tree import ModuleTree
from cairn.formats.safetensors_index import (
    disagreements,
    incomplete_series,
    read_index,
)
from cairn.workflows.architectures import merged
from cairn.workflows.companions import (
    CONFIG,
    PIPELINE,
    TRAINER_STATE,
    architecture_of,
    first_architecture,
    shallowest,
)
from cairn.workflows.completeness import Findings, completeness_of
from cairn.workflows.indexed_files import INDEX_SUFFIXES
from cairn.workflows.models import Model, models_in, repeated, several
from cairn.workflows.ownership import ownership
from cairn.workflows.progress import POSITION_KEYS, progress_in, trainer_progress
from cairn.workflows.references import unreachable
from cairn.workflows.resumption import lacks_by_model
from cairn.workflows.settings_files import settings_in, with_common_names
from cairn.workflows.side_files import side_files

_MAX_PARTS = 50
"""Models of one pipeline that are described; those of diffusers have up to ten."""


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
    assemblies = tuple(_assemblies(files, layouts, unread))
    listed = [(path, layout.tensors) for path, layout in layouts.items()]
    listed += ((assembly.path, assembly.tensors) for assembly in assemblies)
    for path, tensors in listed:
        for part, why in unreachable(path, tensors, files):
            unread.setdefault(part, why)
    found = Checkpoint(
        name=name,
        layouts=layouts,
        unread=unread,
        other_files_bytes=other_files_bytes,
        assemblies=assemblies,
        side_files=side_files(files, layouts),
    )
    notes = [*_index_notes(layouts, files, unread), *incomplete_series(layouts)]
    notes += (f"{each.path}: {note}" for each in assemblies for note in each.notes)
    every = models_in(layouts, assemblies)
    models = _described(files, every)
    notes += repeated(layouts, assemblies)
    if shallowest(files, PIPELINE) is None and (note := several(every)):
        notes.append(note)
    architecture, contradictions = _architecture(files, models, unread)
    owned = ownership(found.tensors(), layouts, every)
    trained = _training(files, found, unread)
    training = {key: fact.value for key, fact in trained.items()}
    findings = Findings(
        paths=frozenset(files),
        layouts=layouts,
        assemblies=assemblies,
        tensors=tuple(found.tensors()),
        architecture=architecture,
        training=training,
        side_files=found.side_files,
        lacks=lacks_by_model(every, owned, _places_of_position(files, found)),
    )
    return replace(
        found,
        architecture=architecture,
        training=training,
        training_evidence={key: fact.evidence for key, fact in trained.items()},
        notes=(*notes, *contradictions, *owned.notes),
        belongs=owned.belongs,
        modules=_modules(models, architecture),
        completeness=completeness_of(findings),
    )


def _described(files: Files, models: list[Model]) -> list[Model]:
    """The models that are parts of one pipeline, or else the one that lies least deep."""
    pipeline = shallowest(files, PIPELINE)
    if pipeline is None:
        return models[:1]
    top = folder_of(pipeline)
    parts = [m for m in models if m.folder.startswith(top) and m.folder != top]
    return parts[:_MAX_PARTS] or models[:1]


def _architecture(
    files: Files, models: list[Model], unread: dict[str, str]
) -> tuple[Architecture | None, list[str]]:
    """What the checkpoint is; of a pipeline, what its parts are."""

    def read(path: str) -> Architecture | None:
        with files[path].open() as source:
            return architecture_of(source)

    declared = first_architecture(files, read, unread)
    if shallowest(files, PIPELINE) is None or declared is None:
        return merged(declared, models[0] if models else Model("", {}))
    parts: dict[str, Architecture] = {}
    notes: list[str] = []
    for model in models:
        stated = first_architecture(_beside(files, model), read, unread)
        part, contradictions = merged(stated, model)
        notes += (f"{model.folder}{note}" for note in contradictions)
        if part is not None:
            parts[model.folder.rstrip("/")] = part
    return replace(declared, parts=parts), notes


def _beside(files: Files, model: Model) -> list[str]:
    """The configuration in a model's own folder, if there is one."""
    path = f"{model.folder}{CONFIG}"
    return [path] if path in files else []


def _modules(models: Iterable[Model], architecture: Architecture | None) -> Module | None:
    """The tree of all modules, those of a pipeline's part below its folder."""
    tree = ModuleTree()
    for model in models:
        below = model.folder.rstrip("/") if architecture is not None and architecture.parts else ""
        tree.add(model.tensors.values(), model.classes, below)
    return tree.grown("")


def _assemblies(
    files: Files, layouts: Mapping[str, Layout], unread: dict[str, str]
) -> Iterator[Assembly]:
    """What each assembler puts together; a set of files that contradict each other is unread."""
    paths = sorted(files)
    for assembler in ASSEMBLERS:
        anchors = list(assembler.anchors(paths))
        for anchor in anchors[MAX_ASSEMBLIES:]:
            unread[anchor] = f"more than {MAX_ASSEMBLIES} checkpoints of {assembler.name} are here"
        for anchor in anchors[:MAX_ASSEMBLIES]:
            try:
                found = assembler.assemble(anchor, files, layouts)
            except UntrustedDataError as error:
                unread[anchor] = str(error)
                continue
            if found is not None:
                yield found


def _training(files: Files, found: Checkpoint, unread: dict[str, str]) -> dict[str, Fact]:
    """What is said of the training: the Trainer's word first, then the files', then the cards'."""
    trained = _trainer_progress(files, unread)
    told = {**trained, **progress_in(found.values()), **trained}
    return with_common_names({**told, **settings_in(files, unread), **told})


def _places_of_position(files: Files, found: Checkpoint) -> set[str]:
    """The folders in which something tells where training stood."""
    told = {folder_of(path) for path in files if path.rpartition("/")[2] == TRAINER_STATE}
    return told | {
        folder_of(path)
        for path, said in found.values()
        if any(key in said for key in POSITION_KEYS)
    }


def _trainer_progress(files: Files, unread: dict[str, str]) -> dict[str, Fact]:
    path = shallowest(files, TRAINER_STATE)
    if path is None:
        return {}
    with files[path].open() as source:
        try:
            return trainer_progress(source)
        except UntrustedDataError as error:
            unread[path] = str(error)
    return {}


def _index_notes(
    layouts: Mapping[str, Layout], files: Files, unread: dict[str, str]
) -> Iterator[str]:
    """Where the indexes of sharded checkpoints and the shards beside them disagree."""
    indexes = sorted(path for path in files if path.endswith(INDEX_SUFFIXES))
    if len(indexes) > MAX_INDEXES:
        yield f"{len(indexes)} indexes of sharded models, of which {MAX_INDEXES} were read"
    for path in indexes[:MAX_INDEXES]:
        folder = path[: path.rfind("/") + 1]
        beside = {
            p.removeprefix(folder): found for p, found in layouts.items() if p.startswith(folder)
        }
        with files[path].open() as source:
            try:
                yield from disagreements(read_index(source), beside)
            except UntrustedDataError as error:
                unread[path] = str(error)
