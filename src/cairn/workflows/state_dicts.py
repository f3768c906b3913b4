"""The state dict inside a checkpoint: its tensors under the names `load_state_dict` expects.

A training checkpoint keeps its weights in a dictionary under `state_dict`, `model` or the like;
a framework wants the names without that. Tensors say which dictionary or pickled module
they come from (`TensorInfo.container`), so a `model.` that is part of a name is told from one
that is not. Prefixes that are part of the names (`module.` of DataParallel) stay.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cairn.domain import Role, TensorInfo
from cairn.errors import RequestError
from cairn.formats.roles import role_of_key

DEFAULT_ROLES = (Role.WEIGHTS, Role.BUFFERS)
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor under the name it has outside its file; `path` is the file that lists it."""

    name: str
    path: str
    tensor: TensorInfo


@dataclass(frozen=True, slots=True)
class StateDict:
    """Tensors by distinct names, in the order of their files.

    `left_out` names tensors of the roles asked for that lie beside the state dict. `dropped`
    maps names that would show the same bytes again to the name that is kept.
    """

    tensors: tuple[NamedTensor, ...]
    left_out: tuple[str, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(named.tensor.size_bytes for named in self.tensors)


def state_dict(
    tensors: Iterable[tuple[str, TensorInfo]], roles: Sequence[Role] = DEFAULT_ROLES
) -> StateDict:
    """The tensors of these roles, named as inside the container they share.

    Raises:
        RequestError: there are none, or two would have one name.
    """
    listed = list(tensors)
    chosen = [(path, tensor) for path, tensor in listed if tensor.role in roles]
    if not chosen:
        raise RequestError(_none_of(roles, listed))
    kept = _in_containers(chosen)
    ids = {id(tensor) for _, tensor in kept}
    common = _common_container({tensor.container for _, tensor in kept})
    named = [NamedTensor(tensor.name.removeprefix(common), path, tensor) for path, tensor in kept]
    _check_distinct(named)
    left_out = tuple(tensor.name for _, tensor in chosen if id(tensor) not in ids)
    return StateDict(tuple(named), left_out)


def renamed(state: StateDict, *, strip: str = "", prefix: str = "") -> StateDict:
    """The same with `strip.` taken off the names that have it and `prefix.` put before all.

    Raises:
        RequestError: no name begins with `strip.`, or two tensors would have one name.
    """
    before, after = _dotted(strip), _dotted(prefix)
    if before and not any(named.name.startswith(before) for named in state.tensors):
        raise RequestError(f"no tensor's name begins with {before!r}: {_some(state.tensors)}")
    named = [replace(n, name=after + n.name.removeprefix(before)) for n in state.tensors]
    _check_distinct(named)
    return replace(state, tensors=tuple(named))


def without_repeats(state: StateDict) -> StateDict:
    """One name for each view of stored bytes: the first by spelling, as safetensors' save_model."""
    first: dict[object, str] = {}
    dropped: dict[str, str] = {}
    for named in sorted(state.tensors, key=lambda named: named.name):
        kept = first.setdefault(_view(named), named.name)
        if kept != named.name:
            dropped[named.name] = kept
    tensors = tuple(named for named in state.tensors if named.name not in dropped)
    return replace(state, tensors=tensors, dropped=dropped)


def _view(named: NamedTensor) -> object:
    """What two tensors have in common exactly when they show the same bytes in the same way."""
    tensor = named.tensor
    if not tensor.elements:
        return named.name
    where = tensor.pieces or tensor.span
    return named.path, where, tensor.dtype, tensor.shape, tensor.strides, tensor.big_endian


def _in_containers(chosen: list[tuple[str, TensorInfo]]) -> list[tuple[str, TensorInfo]]:
    """Without loose tensors beside a dictionary of weights: `best_acc1` beside `state_dict`."""
    if not any(_holds_weights(tensor.container) for _, tensor in chosen):
        return chosen
    return [(path, tensor) for path, tensor in chosen if tensor.container]


def _holds_weights(container: str) -> bool:
    return bool(container) and role_of_key(container.partition(".")[0]) is Role.WEIGHTS


def _common_container(containers: set[str]) -> str:
    """The dotted path, with a final dot, that all containers are or lie in."""
    paths = [container.split(".") for container in containers]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return _dotted(".".join(shared))


def _dotted(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith(".") else f"{prefix}."


def _check_distinct(tensors: Iterable[NamedTensor]) -> None:
    seen: dict[str, NamedTensor] = {}
    for named in tensors:
        other = seen.setdefault(named.name, named)
        if other is not named:
            raise RequestError(
                f"two tensors would be called {named.name[:200]!r}: {_place(other)} and"
                f" {_place(named)}; convert one file at a time, or choose by role"
            )
        if not named.name:
            raise RequestError(f"{_place(named)} would have no name left")


def _place(named: NamedTensor) -> str:
    return f"{named.tensor.name[:200]!r} of {named.path}"


def _none_of(roles: Sequence[Role], listed: list[tuple[str, TensorInfo]]) -> str:
    if not listed:
        return "there are no tensors in it"
    wanted = " or ".join(role.value for role in roles)
    counts: dict[Role, int] = {}
    for _, tensor in listed:
        counts[tensor.role] = counts.get(tensor.role, 0) + 1
    there = ", ".join(f"{role.value} ({count})" for role, count in counts.items())
    return f"there are no tensors with the role {wanted}; there are: {there}"


def _some(tensors: Sequence[NamedTensor]) -> str:
    shown = ", ".join(named.name[:100] for named in tensors[:_EXAMPLES])
    return shown + (", ..." if len(tensors) > _EXAMPLES else "")
