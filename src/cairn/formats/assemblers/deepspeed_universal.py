"""DeepSpeed's universal checkpoints: one folder per parameter, whole tensors, no ranks.

    TAG/zero/NAME/fp32.pt         {"param": tensor, "cat_dim": ...}, the master weights
    TAG/zero/NAME/exp_avg.pt      the same for each moment; `step.pt` is the tensor by itself
    TAG/zero/optimizer_state.pt   parameter groups and other values, without tensors
    TAG/*_model_states.pt         as saved, see `cairn.formats.assemblers.deepspeed`

Source: https://github.com/deepspeedai/DeepSpeed/blob/master/deepspeed/checkpoint/ds_to_universal.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cairn.domain import Assembly, Layout, Piece, Role, Scalar, Span, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.deepspeed_files import ranks_of
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.limits import MAX_NAME_CHARS
from cairn.formats.naming import printable
from cairn.formats.strided_pieces import Pieces

_STATE = re.compile(r"(?s)(?P<top>.*/)?zero/(?P<parameter>[^/]+)/(?P<key>[^/]+)\.pt")
_GROUPS = "optimizer_state.pt"
_FP32 = "fp32"
_HELD = ("param", "tensor")


class UniversalAssembler(Assembler):
    """Names the tensors of a universal checkpoint after their folders."""

    @property
    def name(self) -> str:
        """`deepspeed-universal`."""
        return "deepspeed-universal"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Each folder `zero` that has a folder with master weights."""
        found = (_STATE.fullmatch(path) for path in paths)
        return sorted({f"{m['top'] or ''}zero" for m in found if m and m["key"] == _FP32})

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """Masters and moments; in stage 3, where the model states are empty, as the weights."""
        top = folder_of(anchor)
        stage3 = _partitioned_states(top, files)
        is_weights = bool(stage3) or not _has_module(top, layouts)
        states = _states(anchor, files)
        for parameter, keys in states.items():
            if _FP32 not in keys:
                raise MalformedError(
                    f"the file '{anchor}/{parameter[:200]}/{_FP32}.pt' is missing", source=anchor
                )
        parts: set[str] = {path for path in stage3 if path in layouts}
        tensors: list[TensorInfo] = []
        made = Pieces(anchor)
        for parameter, keys in states.items():
            for key, path in keys.items():
                part(files, anchor, path[len(top) :])
                stored = _held(anchor, path, layouts)
                parts.add(path)
                if stored is not None:
                    pieces = made.whole(stored, path[len(top) :])
                    tensors.append(_renamed(stored, parameter, key, pieces, is_weights=is_weights))
        groups = layouts.get(f"{anchor}/{_GROUPS}")
        if groups is not None:
            parts.add(f"{anchor}/{_GROUPS}")
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(parts),
            tensors=tuple(tensors),
            metadata=dict(_settings(groups)) if groups else {},
            notes=(f"universal: {len(states)} parameters, each in a folder of its own",),
        )


def _partitioned_states(top: str, files: Files) -> list[str]:
    """Model states of stage 3: every parameter in them is empty."""
    ranks = ranks_of(path for path in files if folder_of(path) == top).get(top)
    if ranks is None:
        return []
    named = (names for names in ranks.models.values())
    return [top + name for names in named for rank, name in names.items() if rank >= 0]


def _has_module(top: str, layouts: Mapping[str, Layout]) -> bool:
    """Whether model states beside the folder hold the weights in the dtype of training."""
    return any(
        tensor.name.startswith("module.") and tensor.elements
        for path, layout in layouts.items()
        if folder_of(path) == top and path.endswith("_model_states.pt")
        for tensor in layout.tensors
    )


def _states(anchor: str, files: Files) -> dict[str, dict[str, str]]:
    """The files of each parameter by what they hold."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(path for path in files if path.startswith(f"{anchor}/")):
        match = _STATE.fullmatch(path)
        if match and f"{match['top'] or ''}zero" == anchor:
            found.setdefault(match["parameter"], {})[match["key"]] = path
    return found


def _held(anchor: str, path: str, layouts: Mapping[str, Layout]) -> TensorInfo | None:
    """The one tensor of a file; None if it holds a number instead."""
    layout = layouts.get(path)
    if layout is None:
        raise MalformedError(f"the file {path[:200]!r} could not be read", source=anchor)
    held = [tensor for tensor in layout.tensors if tensor.name in _HELD]
    if len(held) > 1 or (not held and layout.tensors):
        raise MalformedError(f"{path[:200]!r} does not hold one tensor `param`", source=anchor)
    return held[0] if held else None


def _renamed(
    stored: TensorInfo, parameter: str, key: str, pieces: tuple[Piece, ...], *, is_weights: bool
) -> TensorInfo:
    is_weight = is_weights and key == _FP32
    name = f"optimizer.state.{parameter}.{key}"
    if key == _FP32:
        name = f"module.{parameter}" if is_weight else f"optimizer.fp32.{parameter}"
    return replace(
        stored,
        name=printable(name, MAX_NAME_CHARS),
        span=Span(0, 0),
        strides=None,
        pieces=pieces,
        role=Role.WEIGHTS if is_weight else Role.OPTIMIZER,
        container="module" if is_weight else "",
    )


def _settings(groups: Layout) -> Iterator[tuple[str, Scalar]]:
    for key, value in groups.metadata.items():
        yield f"optimizer.{key}" if key.startswith("param_groups") else key, value
