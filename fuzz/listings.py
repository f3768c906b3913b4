r"""A layout as text: names, shapes and values that mutations can reach without breaking a format.

    format safetensors
    tensor NAME \t dtype \t 3,4 \t role \t container
    value KEY \t JSON
    module PATH \t CLASS
    section PATH \t role

Lines that make no sense are left out, so that what remains is always a valid layout.
"""

import json
import math
from contextlib import suppress

from cairn.domain import DType, Layout, Role, Scalar, Span, Storage, TensorInfo
from cairn.errors import UntrustedDataError
from cairn.formats.limits import MAX_AXES, MAX_INT64, MAX_NAME_CHARS

SUFFIX = ".listing"
_DTYPES = {dtype.label: dtype for dtype in DType}
_ROLES = {role.value: role for role in Role}


def listing(layout: Layout) -> bytes:
    """The text of a layout, its places in the file left out."""
    lines = [f"format {layout.format}"]
    for t in layout.tensors:
        shape = ",".join(map(str, t.shape))
        lines.append(f"tensor {t.name}\t{t.dtype.label}\t{shape}\t{t.role.value}\t{t.container}")
    lines += (f"value {key}\t{json.dumps(value)}" for key, value in layout.metadata.items())
    lines += (f"module {path}\t{name}" for path, name in layout.modules.items())
    lines += (f"section {path}\t{role.value}" for path, role in layout.sections.items())
    return "\n".join(lines).encode("utf-8", "replace")


def layout_of(text: bytes) -> Layout:
    """The layout that any text stands for."""
    kind, tensors, at = "safetensors", [], 0
    values: dict[str, Scalar] = {}
    modules: dict[str, str] = {}
    sections: dict[str, Role] = {}
    for line in text.decode("utf-8", "replace").split("\n"):
        word, _, rest = line.partition(" ")
        name, *more = rest.split("\t")
        match word, more:
            case "format", _:
                kind = name
            case "tensor", [dtype, shape, role, *others]:
                with suppress(ValueError, UntrustedDataError):
                    made = _tensor(name, dtype, shape, role, "".join(others), at)
                    tensors.append(made)
                    at = made.span.stop
            case "value", [value]:
                with suppress(ValueError, RecursionError):
                    parsed = json.loads(value)
                    if parsed is None or isinstance(parsed, (bool, int, float, str)):
                        values[name] = parsed
            case "module", [class_name]:
                modules[name] = class_name
            case "section", [role] if role in _ROLES:
                sections[name] = _ROLES[role]
    storages = tuple(Storage(t.span, t.dtype) for t in tensors)
    return Layout(kind, at, tuple(tensors), storages, values, modules=modules, sections=sections)


def _tensor(name: str, dtype: str, shape: str, role: str, container: str, at: int) -> TensorInfo:
    axes = tuple(int(axis[:20]) for axis in shape.split(",") if axis)
    kind = _DTYPES.get(dtype, DType.F32)
    if len(axes) > MAX_AXES or len(name) > MAX_NAME_CHARS or math.prod(axes) > MAX_INT64:
        raise ValueError("no reader lists such a tensor")
    span = Span(at, at + kind.size_bytes(math.prod(axes)))
    return TensorInfo(name, kind, axes, span, _ROLES.get(role, Role.WEIGHTS), container=container)
