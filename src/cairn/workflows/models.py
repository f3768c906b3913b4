"""The models among a checkpoint's files: per folder, the weights a framework would load as one.

The same weights often lie in one folder in several formats, and in one format in several
precisions: each name counts once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cairn.domain import Architecture, Assembly, Layout, Role, TensorInfo
from cairn.formats.folder import folder_of

# Of several formats in one folder, the one whose names are those of the model's own code.
_PREFERRED_FORMATS = ("safetensors", "dcp", "torch-zip", "torch-legacy")
_MAX_NAMED = 8
_OF_A_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS))


@dataclass(frozen=True, slots=True)
class Model:
    """The tensors of one folder's model by name, and what its files say about it themselves."""

    folder: str
    tensors: Mapping[str, TensorInfo]
    embedded: Architecture | None = None
    classes: Mapping[str, str] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in the order of the files."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def models_in(layouts: Mapping[str, Layout], assemblies: Iterable[Assembly]) -> list[Model]:
    """The models of all folders that hold weights or say what they are, shallowest first."""
    folders: dict[str, dict[str, list[_Listing]]] = defaultdict(lambda: defaultdict(list))
    for listing in _listings(layouts, assemblies):
        folders[listing.folder][listing.format].append(listing)
    found = [_model(folder, by_format) for folder, by_format in folders.items()]
    kept = [model for model in found if model.tensors or model.embedded or model.classes]
    return sorted(kept, key=lambda model: (model.folder.count("/"), model.folder))


def several(models: Iterable[Model]) -> str:
    """A note where sums over all files are not those of one model, or nothing."""
    folders = [m.folder for m in models if any(t.role is Role.WEIGHTS for t in m.tensors.values())]
    if len(folders) < 2:
        return ""
    named = ", ".join(folder or "the top" for folder in folders[:_MAX_NAMED])
    more = f" and {len(folders) - _MAX_NAMED:,} more" if len(folders) > _MAX_NAMED else ""
    return (
        f"{len(folders):,} models, in {named}{more}: the architecture is that of the first, counts"
        " and parts are of all together; name one folder to see it alone"
    )


def repeated(layouts: Mapping[str, Layout], assemblies: Iterable[Assembly]) -> Iterator[str]:
    """A note for each folder that holds the same weights in several formats."""
    held: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for listing in _listings(layouts, assemblies):
        names = {t.name for t in listing.tensors if t.role is Role.WEIGHTS}
        if names:
            held[listing.folder][listing.format] |= names
    for folder, by_format in sorted(held.items()):
        kinds = sorted(by_format, key=_preference)
        same = [kind for kind in kinds[1:] if by_format[kind] & by_format[kinds[0]]]
        if same:
            yield (
                f"{folder or 'the top folder'} holds the same weights as"
                f" {', '.join([kinds[0], *same])}: counts are of all together"
            )


@dataclass(frozen=True, slots=True)
class _Listing:
    folder: str
    format: str
    tensors: tuple[TensorInfo, ...]
    layout: Layout | None = None


def _listings(layouts: Mapping[str, Layout], assemblies: Iterable[Assembly]) -> Iterator[_Listing]:
    """What each file and assembly lists; files that are parts of an assembly list nothing."""
    together = list(assemblies)
    replaced = frozenset[str]().union(*(assembly.parts for assembly in together))
    for path, layout in layouts.items():
        tensors = () if path in replaced else layout.tensors
        yield _Listing(folder_of(path), layout.format, tensors, layout)
    for assembly in together:
        yield _Listing(folder_of(assembly.path), assembly.format, assembly.tensors)


def _model(folder: str, by_format: Mapping[str, list[_Listing]]) -> Model:
    tensors: dict[str, TensorInfo] = {}
    for name in sorted(by_format, key=_preference):
        for listing in by_format[name]:
            for tensor in listing.tensors:
                if tensor.role in _OF_A_MODEL:
                    tensors.setdefault(tensor.name, tensor)
        if any(tensor.role is Role.WEIGHTS for tensor in tensors.values()):
            break
    layouts = [at.layout for ats in by_format.values() for at in ats if at.layout is not None]
    embedded = next((layout.architecture for layout in layouts if layout.architecture), None)
    classes = next((layout.modules for layout in layouts if layout.modules), {})
    return Model(folder, tensors, embedded, classes)


def _preference(name: str) -> tuple[int, str]:
    known = name in _PREFERRED_FORMATS
    return (_PREFERRED_FORMATS.index(name) if known else len(_PREFERRED_FORMATS), name)
