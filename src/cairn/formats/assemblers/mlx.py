"""MLX's model folders: safetensors whose quantised weights only `config.json` explains.

    config.json          quantization: {group_size, bits, mode, "<layer>": {group_size, bits}, ...}
    *.safetensors        <layer>.weight  U32 (..., rows, columns * bits / 32), elements packed
                         <layer>.scales      (..., rows, columns / group_size)
                         <layer>.biases      the same, in mode `affine` only

The files are read as they are; what is known here is how many elements the packed weights stand
for. Source: `mx.quantize`, https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html
and `save_model` in https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/utils.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cairn.domain import Assembly, DType, Layout, Role, Scalar, TensorInfo
from cairn.errors import UntrustedDataError
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files, folder_of
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.strict_json import is_integer, read_json

_CONFIG = "config.json"
_WEIGHTS = ".safetensors"
_MAX_MODE_CHARS = 40
_BITS = range(1, 33)
_MAX_GROUP = 1 << 16


@dataclass(frozen=True, slots=True)
class Packing:
    """Elements of `bits` bits, of which `group_size` share a scale."""

    group_size: int
    bits: int


class MlxAssembler(Assembler):
    """Counts what packed weights stand for; the tensors stay those of the files."""

    @property
    def name(self) -> str:
        """`mlx`."""
        return "mlx"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Each `config.json` beside safetensors."""
        known = set(paths)
        folders = {folder_of(path) for path in known if path.endswith(_WEIGHTS)}
        return sorted(path for f in folders if (path := f + _CONFIG) in known)

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """What the configuration says of the weights beside it; None if they are not MLX's."""
        folder = folder_of(anchor)
        weights = {
            path: layout
            for path, layout in layouts.items()
            if folder_of(path) == folder and layout.format == "safetensors"
        }
        settings = _quantization(anchor, files)
        default = _packing(settings)
        said = any(layout.metadata.get("format") == "mlx" for layout in weights.values())
        tensors = {t.name: t for layout in weights.values() for t in layout.tensors}
        if default is None:
            note = "weights in the layout of MLX, not quantised"
            return Assembly(self.name, anchor, frozenset(), (), {}, (note,)) if said else None
        notes = Notes()
        metadata = _counted(tensors, settings, default, notes)
        if not metadata["packed_weights"] and not said:
            return None
        return Assembly(self.name, anchor, frozenset(), (), metadata, notes.listed())


def _quantization(anchor: str, files: Files) -> Mapping[str, Any]:
    """The settings; empty where there are none, or where the file cannot be read at all."""
    with files[anchor].open() as source:
        try:
            config = read_json(source, MAX_CONFIG_BYTES, what=_CONFIG, constants=True)
        except UntrustedDataError:
            return {}  # whoever reads the architecture from it says so
    found = config.get("quantization") if isinstance(config, dict) else None
    return found if isinstance(found, dict) else {}


def _packing(settings: object) -> Packing | None:
    if not isinstance(settings, dict):
        return None
    group, bits = settings.get("group_size"), settings.get("bits")
    if not (isinstance(group, int) and is_integer(group) and 0 < group <= _MAX_GROUP):
        return None
    if not (isinstance(bits, int) and is_integer(bits) and bits in _BITS):
        return None
    return Packing(group, bits)


def _counted(
    tensors: Mapping[str, TensorInfo], settings: Mapping[str, Any], default: Packing, notes: Notes
) -> dict[str, Scalar]:
    """How many weights are packed, and how many elements there are once they are unpacked."""
    packed_weights = packed = plain = 0
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        scales = tensors.get(f"{layer}.scales")
        if scales is not None and leaf in ("scales", "biases"):
            continue
        if scales is None or leaf != "weight" or tensor.dtype is not DType.U32:
            plain += tensor.elements if tensor.role is Role.WEIGHTS else 0
            continue
        how = _packing(settings.get(layer)) or default
        columns = (scales.shape or (0,))[-1] * how.group_size
        shape = (*scales.shape[:-1], columns * how.bits)
        if tensor.shape != (*shape[:-1], shape[-1] // 32) or shape[-1] % 32:
            notes.add(
                f"{printable(name, 200)} of shape {tensor.shape} is not {how.bits} bits in groups"
                f" of {how.group_size}"
            )
            continue
        packed_weights += 1
        packed += scales.elements * how.group_size
    mode = settings.get("mode", "affine")
    notes.add(
        f"quantised by MLX to {default.bits} bits in groups of {default.group_size}:"
        f" {packed_weights} weights packed into U32 stand for {packed} elements"
    )
    return {
        "quantization.bits": default.bits,
        "quantization.group_size": default.group_size,
        "quantization.mode": printable(mode, _MAX_MODE_CHARS) if isinstance(mode, str) else "",
        "packed_weights": packed_weights,
        "packed_elements": packed,
        "parameters": packed + plain,
    }
