"""Distributed checkpoints of torch (DCP), taken over without unpickling, and written for others.

What `torch.distributed.checkpoint.save` keeps of `{"model": ..., "optim": ...}` as
`get_state_dict` gives them: weights and optimizer by the names of parameters, in the pieces of the
ranks that saved. It has neither random numbers nor a place in the data. Source:
https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cairn.domain import Assembly, Scalar, TensorInfo
from cairn.errors import MalformedError, RequestError
from cairn.formats import File, FileSource, read_layout
from cairn.formats.assemblers.dcp import DcpAssembler
from cairn.training.modules import unwrapped
from cairn.training.parts import listed
from cairn.training.ranks.sharding import Box, Pieces, is_sharded, placed
from cairn.training.tensors import mapped, view

_ANCHOR, _SHARD = ".metadata", ".distcp"


def write_dcp(folder: Path | str, *, model: nn.Module, optimizer: Optimizer) -> None:
    """Write weights and optimizer for programs that read DCP; every rank calls this.

    This is torch's own writing: a part of what it writes is a pickle.
    """
    from torch.distributed.checkpoint.state_dict import get_state_dict
    from torch.distributed.checkpoint.state_dict_saver import save

    weights, states = get_state_dict(model, optimizer)
    save({"model": weights, "optim": states}, checkpoint_id=str(folder))


def take_dcp(folder: Path | str, *, model: nn.Module, optimizer: Optimizer | None = None) -> None:
    """Give a model, and its optimizer, what a DCP folder has of them, on any number of ranks.

    Hyper-parameters of the optimizer that the folder does not say stay as they are.

    Raises:
        UntrustedDataError: the folder is none of DCP, or damaged.
        RequestError: it is of another model or optimizer; nothing was changed.
    """
    root = Path(folder)
    found = _assembly(root)
    tensors = {tensor.name: tensor for tensor in found.tensors}
    inner = unwrapped(model)
    weights = _weights(root, tensors, inner)
    states = None if optimizer is None else _optimizer(root, found, tensors, inner, optimizer)
    inner.load_state_dict(weights)
    if optimizer is not None and states is not None:
        optimizer.load_state_dict(states)


def _assembly(root: Path) -> Assembly:
    paths = [path for path in sorted(root.glob("*")) if path.suffix == _SHARD]
    paths += [root / _ANCHOR]
    if not paths[-1].is_file():
        raise MalformedError(f"{root} has no {_ANCHOR}", source=str(root))
    files, layouts = {}, {}
    for path in paths:
        opened = partial(FileSource, path, path.name)
        files[path.name] = File(path.stat().st_size, opened)
        with opened() as source:
            layouts[path.name] = read_layout(source)
    found = DcpAssembler().assemble(_ANCHOR, files, layouts)
    if found is None:
        raise MalformedError(f"{root / _ANCHOR} is not that of DCP", source=str(root))
    return found


def _weights(root: Path, tensors: Mapping[str, TensorInfo], model: nn.Module) -> dict[str, Tensor]:
    live = model.state_dict()
    prefix = _prefix(tensors, list(live))
    found = {}
    for name, mine in live.items():
        saved = _pieces(root, tensors[prefix + name])
        if tuple(mine.shape) != saved.shape or mine.dtype != saved.dtype:
            raise RequestError(
                f"{name} is {mine.dtype} {tuple(mine.shape)} here, {saved.dtype} {saved.shape} in"
                f" {root}; nothing was changed"
            )
        found[name] = placed(saved, mine if is_sharded(mine) else None)
    return found


def _prefix(tensors: Mapping[str, TensorInfo], names: list[str]) -> str:
    """What stands before the names of the model: `model.`, or where a program put it."""
    first = names[0] if names else ""
    prefixes = {key.removesuffix(first) for key in tensors if f".{key}".endswith(f".{first}")}
    missing = names
    for prefix in sorted(prefixes, key=len):
        absent = [name for name in names if prefix + name not in tensors]
        if not absent:
            return prefix
        missing = min(missing, absent, key=len)
    raise RequestError(
        f"the folder is of another model: it has no {listed(missing)}; nothing was changed"
    )


def _optimizer(
    root: Path,
    found: Assembly,
    tensors: Mapping[str, TensorInfo],
    model: nn.Module,
    optimizer: Optimizer,
) -> dict[str, Any]:
    """The state as torch numbers it."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    said = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    unknown = [number for number, p in enumerate(parameters) if id(p) not in names]
    if unknown:
        raise RequestError(
            f"the optimizer has {len(unknown)} parameters that are not the model's;"
            " nothing was changed"
        )
    state: dict[int, dict[str, Tensor]] = {}
    by_name: dict[str, dict[str, TensorInfo]] = {}
    for key, tensor in tensors.items():
        _, around, below = f".{key}".partition(".state.")
        name, _, leaf = below.rpartition(".")
        if around:
            by_name.setdefault(name, {})[leaf] = tensor
    for number, parameter in enumerate(parameters):
        leaves = by_name.get(names[id(parameter)], {})
        if leaves:
            state[number] = {
                leaf: _state(_pieces(root, tensor), parameter) for leaf, tensor in leaves.items()
            }
    if by_name and not state:
        raise RequestError(f"the optimizer in {root} has none of these parameters")
    groups = [
        dict(_group(group, [names[id(p)] for p in live["params"]], found.metadata))
        for group, live in zip(said["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**said, "state": state, "param_groups": groups}


def _state(saved: Pieces, parameter: Tensor) -> Tensor:
    """A state of a parameter; it lies like the parameter if it has its shape."""
    is_alike = is_sharded(parameter) and tuple(parameter.shape) == saved.shape
    return placed(saved, parameter if is_alike else None)


def _group(
    group: Mapping[str, Any], names: list[str], said: Mapping[str, Scalar]
) -> Iterator[tuple[str, Any]]:
    """The settings of a group of parameters, as far as the folder says them."""
    place = _group_place(names, said)
    for key, value in group.items():
        if key == "params" or place is None:
            yield key, value
        elif isinstance(value, tuple | list):
            items = [said.get(f"{place}.{key}.{n}", item) for n, item in enumerate(value)]
            yield key, type(value)(items)
        else:
            yield key, said.get(f"{place}.{key}", value)


def _group_place(names: list[str], said: Mapping[str, Scalar]) -> str | None:
    """Where the folder has the settings of the group with these parameters."""
    for key, value in said.items():
        head, listed_here, _ = key.rpartition(".params.")
        if listed_here and value in names:
            return head
        head, flat, below = f".{key}".partition(".param_groups.")
        name = below.rpartition(".")[0]
        if flat and name in names:
            return f"{head}{flat}{name}".removeprefix(".")
    return None


def _pieces(root: Path, tensor: TensorInfo) -> Pieces:
    """A tensor in the pieces of the ranks that saved it, which look into their files."""
    dtype, found = None, []
    for piece in tensor.pieces:
        if piece.encoding or piece.skip_bytes or tensor.big_endian:
            raise MalformedError(f"{tensor.name[:200]!r} is encoded", source=str(root))
        one = view(mapped(root / piece.path), piece.span, tensor.dtype, piece.shape)
        found.append((Box(piece.start, piece.shape), one))
        dtype = one.dtype
    return Pieces(tensor.shape, dtype or torch.float32, found)
