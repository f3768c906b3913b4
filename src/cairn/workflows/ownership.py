"""Which parameters the states of a checkpoint's optimizers belong to, over all its files."""

from collections.abc import Iterable, Iterator, Mapping

from cairn.domain import Layout, Role, Span, TensorInfo
from cairn.formats.folder import folder_of
from cairn.formats.optimizer_states import matched, numbered_states
from cairn.formats.parameter_order import defined_order
from cairn.formats.recognition import recognise
from cairn.formats.weight_names import Shape
from cairn.workflows.models import Model

Located = tuple[str, TensorInfo]
Belongs = dict[tuple[str, str], str]

_ADAPTER = "lora"
# Formats whose files keep tensors in the order in which they were put there.
_ORDERED_FORMATS = ("torch-zip", "torch-legacy", "sb3")


def ownership(
    tensors: Iterable[Located], layouts: Mapping[str, Layout], models: Iterable[Model]
) -> tuple[Belongs, list[str]]:
    """Parameter names by path and prefix of the state, and why states have none."""
    folders = {model.folder: model for model in models}
    belongs: Belongs = {}
    notes: list[str] = []
    by_path: dict[str, list[TensorInfo]] = {}
    for path, tensor in tensors:
        if tensor.role is Role.OPTIMIZER:
            by_path.setdefault(path, []).append(tensor)
    for path, states in by_path.items():
        model = folders.get(folder_of(path)) or next(iter(folders.values()), None)
        if model is None:
            continue
        belongs |= _named(path, states, model)
        notes += _numbered(path, states, layouts.get(path), model, layouts, belongs)
    return belongs, notes


def _named(path: str, states: Iterable[TensorInfo], model: Model) -> Belongs:
    """States that carry the parameter's name, as those of distributed checkpoints do."""
    endings = _names_by_ending(model.tensors)
    found: Belongs = {}
    for state in states:
        before, infix, after = state.name.partition("state.")
        parameter = after.rpartition(".")[0]
        if infix and parameter in endings:
            found[path, f"{before}{infix}{parameter}"] = endings[parameter]
    return found


def _names_by_ending(names: Iterable[str]) -> dict[str, str]:
    """Every name by itself and without its first segment, which a container may have added."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name, name)
        found.setdefault(name.partition(".")[2], name)
    return found


def _numbered(
    path: str,
    states: Iterable[TensorInfo],
    layout: Layout | None,
    model: Model,
    layouts: Mapping[str, Layout],
    belongs: Belongs,
) -> Iterator[str]:
    """Enters the numbered states of one file in `belongs`; yields why some are not matched."""
    metadata = layout.metadata if layout is not None else {}
    shapes = [(state.name, state.shape) for state in states]
    for optimizer in numbered_states(shapes, metadata):
        order = _parameters(path, optimizer.head, model, layouts)
        match = matched(optimizer, order)
        for number, name in match.names.items():
            belongs[path, f"{optimizer.head}state.{number}"] = name
        if match.reason:
            yield f"{path}: optimizer states are not matched to parameters: {match.reason}"


def _parameters(
    path: str, head: str, model: Model, layouts: Mapping[str, Layout]
) -> list[tuple[str, Shape]] | None:
    """The parameters in the order in which the model defines them, tied ones once."""
    own = layouts.get(path)
    kept = {tensor.name for tensor in own.tensors} if own is not None else set()
    inside = [t for t in model.tensors.values() if t.name in kept]
    chosen = inside or list(model.tensors.values())
    weights = [tensor for tensor in chosen if tensor.role is Role.WEIGHTS]
    if _is_ordered(path if inside else model.folder, bool(inside), layouts):
        return [(tensor.name, tensor.shape) for tensor in _untied(weights)]
    del head
    names = [tensor.name for tensor in weights]
    recognised = recognise({tensor.name: tensor.shape for tensor in weights})
    kind = recognised.kind if recognised is not None else None
    order = defined_order(names, None if kind == _ADAPTER else kind)
    return None if order is None else [(name, model.tensors[name].shape) for name in order]


def _is_ordered(place: str, is_file: bool, layouts: Mapping[str, Layout]) -> bool:  # noqa: FBT001
    if is_file:
        return layouts[place].format in _ORDERED_FORMATS
    formats = {
        layout.format
        for path, layout in layouts.items()
        if folder_of(path) == place and any(t.role is Role.WEIGHTS for t in layout.tensors)
    }
    return bool(formats) and formats <= set(_ORDERED_FORMATS)


def _untied(weights: Iterable[TensorInfo]) -> Iterator[TensorInfo]:
    """Parameters under two names are one to the optimizer: their elements lie at one place."""
    seen: set[tuple[Span, Shape]] = set()
    for tensor in weights:
        place = (tensor.span, tensor.shape)
        if tensor.span.size_bytes and not tensor.pieces and place in seen:
            continue
        seen.add(place)
        yield tensor
