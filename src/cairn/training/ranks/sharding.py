"""Tensors of which each rank has a piece: which piece that is, and how pieces become tensors.

A `DTensor` lies on a mesh of devices, cut along some axes of the mesh and the same along others
(https://docs.pytorch.org/docs/stable/distributed.tensor.html); FSDP2 makes parameters of this
kind. A piece is a box: where it starts in the whole tensor, and its extent.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cairn.errors import RequestError

_MODULE = "torch.distributed.tensor"


@dataclass(frozen=True, slots=True)
class Box:
    """Where a piece starts in its tensor, and how far it reaches, by dimension."""

    start: tuple[int, ...]
    extent: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """The piece of the whole."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.extent, strict=True))

    def overlap(self, other: "Box") -> "Box | None":
        """The box that both have; None where there is none."""
        start = tuple(map(max, self.start, other.start))
        stops = [
            min(a + n, b + m)
            for a, n, b, m in zip(self.start, self.extent, other.start, other.extent, strict=True)
        ]
        extent = tuple(stop - first for first, stop in zip(start, stops, strict=True))
        return Box(start, extent) if all(n > 0 for n in extent) else None

    def within(self, outer: "Box") -> "Box":
        """The same box, seen from where another starts."""
        start = tuple(a - b for a, b in zip(self.start, outer.start, strict=True))
        return Box(start, self.extent)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A saved tensor in pieces, which look into their files."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: Sequence[tuple[Box, Tensor]]

    def region(self, wanted: Box) -> Tensor:
        """A copy of a box of it."""
        found = torch.empty(wanted.extent, dtype=self.dtype)
        for box, piece in self.pieces:
            both = wanted.overlap(box)
            if both is not None:
                found[both.within(wanted).slices] = piece[both.within(box).slices]
        return found


def is_sharded(value: object) -> bool:
    """Whether a value is a tensor with pieces on several ranks; imports nothing to know."""
    module = sys.modules.get(_MODULE)
    return module is not None and isinstance(value, module.DTensor)


def box_of(tensor: Any) -> Box:
    """The piece of a `DTensor` that this rank has.

    Raises:
        RequestError: pieces of it are yet to be added up.
    """
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if any(placement.is_partial() for placement in tensor.placements):
        raise RequestError("a tensor whose pieces are yet to be added up cannot be kept")
    extent, start = compute_local_shape_and_global_offset(
        tensor.shape, tensor.device_mesh, tensor.placements
    )
    return Box(tuple(start), tuple(extent))


def is_kept_here(tensor: Any) -> bool:
    """Whether this rank is the one of those with the same piece that keeps it."""
    place = tensor.device_mesh.get_coordinate()
    if place is None:
        return False
    return all(
        number == 0
        for number, placement in zip(place, tensor.placements, strict=True)
        if placement.is_replicate()
    )


def placed(saved: Tensor | Pieces, like: Any) -> Tensor:
    """A saved tensor, whole, or on the mesh that `like` lies on: a `DTensor` or None."""
    shape = tuple(saved.shape)
    if like is None:
        return _region(saved, Box((0,) * len(shape), shape))
    from torch.distributed.tensor import DTensor

    local = _region(saved, box_of(like)).to(like.to_local().device)
    return DTensor.from_local(
        local,
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )


def _region(saved: Tensor | Pieces, wanted: Box) -> Tensor:
    return saved.region(wanted) if isinstance(saved, Pieces) else saved[wanted.slices].clone()
