"""A checkpoint described as plain data: the stable JSON form of what inspect finds.

`schema` rises when a key changes its meaning or goes; new keys may come without that.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cairn.domain import Assembly, Checkpoint, Layout, Role, Scalar, TensorInfo

SCHEMA = 1

Located = tuple[str, TensorInfo]
"""A tensor with the path of its file."""


def describe(checkpoint: Checkpoint, tensors: Iterable[Located] | None = None) -> dict[str, Any]:
    """The checkpoint as JSON-able data; `tensors` narrows or orders the table (default: all).

    Sizes are bytes, spans are offsets in the tensor's file, strides count elements.
    """
    shown = checkpoint.tensors() if tensors is None else tensors
    found = checkpoint.architecture
    parameters = checkpoint.parameters_by_dtype()
    return {
        "schema": SCHEMA,
        "name": checkpoint.name,
        "formats": list(checkpoint.formats),
        "size_bytes": checkpoint.size_bytes,
        "other_files_bytes": checkpoint.other_files_bytes,
        "architecture": None
        if found is None
        else {
            "family": found.family,
            "class_name": found.class_name,
            "evidence": found.evidence,
            "config": _plain(found.config),
        },
        "parameters": {
            "total": sum(parameters.values()),
            "by_dtype": {dtype.label: count for dtype, count in parameters.items()},
        },
        "roles": role_totals(checkpoint),
        "training": _plain(checkpoint.training),
        "files": [_file(path, layout) for path, layout in checkpoint.layouts.items()],
        "assemblies": [_assembly(found) for found in checkpoint.assemblies],
        "tensors": [_tensor(path, tensor) for path, tensor in shown],
        "unread": dict(checkpoint.unread),
        "notes": list(checkpoint.notes),
    }


def role_totals(checkpoint: Checkpoint) -> dict[str, dict[str, int]]:
    """Tensors, elements and their bytes by role, in the order of `Role`; absent roles left out.

    Bytes count each tensor by itself, so tensors that share a storage count twice.
    """
    totals: dict[Role, list[int]] = {}
    for _, tensor in checkpoint.tensors():
        total = totals.setdefault(tensor.role, [0, 0, 0])
        total[0] += 1
        total[1] += tensor.elements
        total[2] += tensor.dtype.size_bytes(tensor.elements)
    return {
        role.value: dict(zip(("tensors", "elements", "size_bytes"), totals[role], strict=True))
        for role in Role
        if role in totals
    }


def _file(path: str, layout: Layout) -> dict[str, Any]:
    return {
        "path": path,
        "format": layout.format,
        "size_bytes": layout.size_bytes,
        "tensors": len(layout.tensors),
        "metadata": _plain(layout.metadata),
        "notes": list(layout.notes),
    }


def _assembly(found: Assembly) -> dict[str, Any]:
    return {
        "path": found.path,
        "format": found.format,
        "parts": sorted(found.parts),
        "tensors": len(found.tensors),
        "metadata": _plain(found.metadata),
    }


def _tensor(path: str, tensor: TensorInfo) -> dict[str, Any]:
    return {
        "file": path,
        "name": tensor.name,
        "dtype": tensor.dtype.label,
        "shape": list(tensor.shape),
        "elements": tensor.elements,
        "size_bytes": tensor.dtype.size_bytes(tensor.elements),
        "role": tensor.role.value,
        "start": tensor.span.start,
        "stop": tensor.span.stop,
        "strides": None if tensor.strides is None else list(tensor.strides),
    }


def _plain(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """JSON has no NaN and no infinities: they become text."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
