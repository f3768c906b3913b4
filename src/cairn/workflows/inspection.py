"""A checkpoint described as plain data: the stable JSON form of what inspect finds.

`schema` rises when a key changes its meaning or goes; new keys may come without that.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cairn.domain import (
    Architecture,
    Assembly,
    Checkpoint,
    Completeness,
    Layout,
    Module,
    Part,
    Role,
    Scalar,
    TensorInfo,
)

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
        "architecture": None if found is None else _architecture(found),
        "completeness": _completeness(checkpoint.completeness),
        "parameters": {
            "total": sum(parameters.values()),
            "by_dtype": {dtype.label: count for dtype, count in parameters.items()},
        },
        "roles": role_totals(checkpoint),
        "training": _plain(checkpoint.training),
        "training_evidence": dict(checkpoint.training_evidence),
        "files": [_file(path, layout) for path, layout in checkpoint.layouts.items()],
        "assemblies": [_assembly(found) for found in checkpoint.assemblies],
        "side_files": {path: role.value for path, role in checkpoint.side_files.items()},
        "modules": None if checkpoint.modules is None else _module(checkpoint.modules),
        "tensors": [
            {**_tensor(path, tensor), "parameter": parameter_of(checkpoint, path, tensor)}
            for path, tensor in shown
        ],
        "unread": dict(checkpoint.unread),
        "notes": list(checkpoint.notes),
    }


def parameter_of(checkpoint: Checkpoint, path: str, tensor: TensorInfo) -> str | None:
    """The name of the parameter that a tensor of an optimizer's state belongs to."""
    prefix = tensor.name.rpartition(".")[0]
    return checkpoint.belongs.get((path, tensor.name)) or checkpoint.belongs.get((path, prefix))


def _architecture(found: Architecture) -> dict[str, Any]:
    return {
        "family": found.family,
        "class_name": found.class_name,
        "evidence": found.evidence,
        "config": _plain(found.config),
        "facts": {
            key: {**_plain({"value": fact.value}), "evidence": fact.evidence}
            for key, fact in found.facts.items()
        },
        "parts": {folder: _architecture(part) for folder, part in found.parts.items()},
    }


def _completeness(found: Completeness | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "present": {part.value: found.present.get(part) for part in Part},
        "resumable": found.resumable,
        "missing": list(found.missing),
        "inexact": list(found.inexact),
        "models": {label: list(lacks) for label, lacks in found.models.items()},
    }


def _module(module: Module) -> dict[str, Any]:
    """The tree as nested data; it is as deep as `MAX_MODULE_DEPTH` at most."""
    return {
        "name": module.name,
        "class_name": module.class_name,
        "parameters": module.parameters,
        "tensors": module.tensors,
        "children": [_module(child) for child in module.children],
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
