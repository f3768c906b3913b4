"""The models among a checkpoint's files: per folder, the weights a framework would load as one.

The same weights often lie in one folder in several formats, and in one format in several
precisions: each name counts once. accelerate numbers the models it saves into one folder
(`model.safetensors`, `model_1.safetensors`: `save_accelerator_state` in
https://github.com/huggingface/accelerate/blob/main/src/accelerate/checkpointing.py).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cairn.domain import Architecture, Assembly, Layout, Role, TensorInfo
from cairn.formats.folder import folder_of

# Of several formats in one folder, the one whose names are those of the model's own code.
_PREFERRED_FORMATS = ("safetensors", "dcp", "torch-zip", "torch-legacy")
_MAX_NAMED = 8
_NUMBERED = re.compile(r"(?:pytorch_)?model_(\d{1,3})\.(?:safetensors|bin)\Z")
_OF_ACCELERATE = ("random_states_", "optimizer")
_FIRST = "model"
_OF_A_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS))


@dataclass(frozen=True, slots=True)
class Model:
    """The tensors of one folder's model by name, and what its files say about it themselves.

    `unit` is what the model is called where its folder holds several.
    """

    folder: str
    tensors: Mapping[str, TensorInfo]
    embedded: Architecture | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""

    @property
    def label(self) -> str:
        """What people call it: its folder, and its own name where there are several in it."""
        return f"{self.folder}{self.unit}".rstrip("/") or "the top"

    @property
    def has_weights(self) -> bool:
        """Whether there is anything to train, or only what a file says of a model."""
        return any(tensor.role is Role.WEIGHTS for tensor in self.tensors.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in the order of the files."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def models_in(layouts: Mapping[str, Layout], assemblies: Iterable[Assembly]) -> list[Model]:
    """The models of all folders that hold weights or say what they are, shallowest first."""
    places: dict[tuple[str, str], dict[str, list[_Listing]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for listing in _listings(layouts, assemblies):
        places[listing.folder, listing.unit][listing.format].append(listing)
    crowded = {folder for folder, unit in places if unit}
    found = []
    for (folder, unit), by_format in places.items():
        own = unit or (_FIRST if folder in crowded else "")
        found.append(_model(folder, own, by_format))
    kept = [model for model in found if model.tensors or model.embedded or model.classes]
    return sorted(kept, key=lambda m: (m.folder.count("/"), m.folder, len(m.unit), m.unit))


def several(models: Iterable[Model]) -> str:
    """A note where sums over all files are not those of one model, or nothing."""
    folders = [f"{m.folder}{m.unit}" for m in models if m.has_weights]
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
    unit: str = ""


def _listings(layouts: Mapping[str, Layout], assemblies: Iterable[Assembly]) -> Iterator[_Listing]:
    """What each file and assembly lists; files that are parts of an assembly list nothing."""
    together = list(assemblies)
    replaced = frozenset[str]().union(*(assembly.parts for assembly in together))
    for path, layout in layouts.items():
        tensors = () if path in replaced else layout.tensors
        yield _Listing(folder_of(path), layout.format, tensors, layout, _unit(path, layouts))
    for assembly in together:
        yield _Listing(folder_of(assembly.path), assembly.format, assembly.tensors)


def _unit(path: str, layouts: Mapping[str, Layout]) -> str:
    """Which of several models in one folder a file is of; such names are common by themselves."""
    folder = folder_of(path)
    found = _NUMBERED.match(path.removeprefix(folder))
    if found is None:
        return ""
    states = tuple(f"{folder}{name}" for name in _OF_ACCELERATE)
    return f"{_FIRST}_{found[1]}" if any(p.startswith(states) for p in layouts) else ""


def _model(folder: str, unit: str, by_format: Mapping[str, list[_Listing]]) -> Model:
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
    return Model(folder, tensors, embedded, classes, unit)


def _preference(name: str) -> tuple[int, str]:
    known = name in _PREFERRED_FORMATS
    return (_PREFERRED_FORMATS.index(name) if known else len(_PREFERRED_FORMATS), name)
