"""Which rank keeps what of a state: what all have, the first; pieces and what differs, each.

What is equal is found by digests, so that nothing rests on the promise that training keeps ranks
equal: running statistics that differ, or a model of its own on each rank, are kept as they are.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from blake3 import blake3
from torch import Tensor

from cairn.training.capture import VALUES, Capture
from cairn.training.ranks.group import Ranks
from cairn.training.ranks.record import OwnPart, OwnRecord, rank_file
from cairn.training.ranks.sharding import Box, box_of, is_kept_here
from cairn.training.tensors import TensorTable, bytes_of
from cairn.training.values import Json

_LARGE_BYTES = 1 << 20
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_Boxes = dict[str, tuple[tuple[int, ...], Box]]


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank keeps.

    `capture` has the tensors that it writes; `boxes` shape and box of its pieces by part and name.
    """

    capture: Capture
    boxes: Mapping[str, _Boxes] = field(default_factory=dict)
    own: OwnRecord = field(default_factory=lambda: OwnRecord(None, {}))


def share(capture: Capture, ranks: Ranks) -> Share:
    """What this rank keeps of a state; all ranks have to call this.

    Raises:
        UnavailableError: a rank is gone.
    """
    if ranks.size == 1 and not any(table.sharded for table in capture.tables.values()):
        return Share(capture)
    mine = {name: _print(state, table) for name, state, table in _parts(capture)}
    environment = capture.record.environment
    first, first_environment = ranks.shared([mine, dict(environment)])
    tables: dict[str, TensorTable] = {}
    boxes: dict[str, _Boxes] = {}
    own: dict[str, OwnPart] = {}
    for name, state, table in _parts(capture):
        different = _different(mine[name], first.get(name))
        if ranks.is_first:
            common = _table(table, [n for n in table.tensors if n not in table.sharded])
            common.also = {n: one for n, one in table.also.items() if one in common.tensors}
            tables[f"{name}.safetensors"] = common
        elif mine[name] != first.get(name):
            own[name] = OwnPart(rank_file(name, ranks.number) if different else None, state)
        boxes[name] = dict(_boxes(table))
        tables[rank_file(name, ranks.number)] = _table(table, [*different, *boxes[name]])
    return Share(
        _with(capture, {file: table for file, table in tables.items() if table.tensors}),
        {name: found for name, found in boxes.items() if found},
        OwnRecord(None if environment == first_environment else environment, own),
    )


def _different(mine: Any, first: Any) -> list[str]:
    """The tensors that the first rank has not, or has otherwise."""
    theirs = {} if first is None else first["tensors"]
    return [name for name, digest in mine["tensors"].items() if digest != theirs.get(name)]


def _parts(capture: Capture) -> Iterator[tuple[str, Json, TensorTable]]:
    """Name, state and tensors of every part, the values of the loop among them."""
    for name, part in capture.record.parts.items():
        yield name, part.state, capture.tables.get(part.file or "", TensorTable())
    values = capture.tables.get(f"{VALUES}.safetensors", TensorTable())
    yield VALUES, capture.record.values, values


def _boxes(table: TensorTable) -> Iterator[tuple[str, tuple[tuple[int, ...], Box]]]:
    for name, tensor in table.sharded.items():
        box = box_of(tensor)
        if is_kept_here(tensor) and all(box.extent):
            yield name, (table.shape(name), box)


def _table(table: TensorTable, names: list[str]) -> TensorTable:
    found = TensorTable()
    found.tensors = {name: table.tensors[name] for name in names}
    return found


def _with(capture: Capture, tables: Mapping[str, TensorTable]) -> Capture:
    """The capture with these tables, and parts that name their files."""
    parts = {
        name: replace(part, file=file if (file := f"{name}.safetensors") in tables else None)
        for name, part in capture.record.parts.items()
    }
    return Capture(replace(capture.record, parts=parts), tables)


# --- whether two ranks have the same -------------------------------------------------------


def _print(state: Json, table: TensorTable) -> Any:
    """What tells a part from another: of its state, and of each tensor that is not in pieces."""
    return {
        "state": blake3(json.dumps(state, allow_nan=False).encode()).hexdigest(),
        "tensors": {
            name: _digest(tensor)
            for name, tensor in table.tensors.items()
            if name not in table.sharded
        },
    }


def _digest(tensor: Tensor) -> str:
    """Of type, shape and bytes.

    A large tensor on another device is summed there, word by word and by squares, and not
    copied here: what training changed on one rank alone does not add up to the same.
    """
    found = blake3(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    if tensor.device.type == "cpu" or tensor.nbytes < _LARGE_BYTES:
        found.update(bytes_of(tensor))
    else:
        words = tensor.contiguous().reshape(-1).view(_WORDS[min(tensor.itemsize, 8)])
        sums = [words.sum(dtype=torch.int64), words.to(torch.int64).square().sum()]
        found.update(bytes_of(torch.stack(sums)))
    return found.hexdigest()
