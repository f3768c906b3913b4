"""Training checkpoints of Cairn: a folder of safetensors whose `checkpoint.json` says what each is.

    checkpoint.json                step, metrics, environment; kind, class, file, state of parts
    <part>.safetensors             the tensors of a part
    <part>.rank-<n>.safetensors    of several ranks: pieces of its tensors, what that rank has alone
    values.safetensors             tensors among the values of the loop itself

The keys are listed in docs/formats/cairn-training.md. The first model's file stands for itself.
Tensors of other files are named after their part and get their role from its kind; the state of
an optimizer is named after the parameter as the model's file has it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cairn.domain import Assembly, Layout, Role, Scalar, Span, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.limits import (
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_NAME_CHARS,
    MAX_TRAINING_RECORD_BYTES,
)
from cairn.formats.naming import printable
from cairn.formats.strict_json import read_json
from cairn.formats.strided_pieces import Pieces
from cairn.formats.training_ranks import RankFiles
from cairn.formats.training_record import FORMAT, RECORD, VERSION

_VALUES = "values"
_MODULE = "module"
_AVERAGES = frozenset(("AveragedModel", "EMAModel", "ModelEmaV2", "ModelEmaV3", "EMA"))
_MAX_DEPTH = 12
_KINDS = {
    "optimizer": Role.OPTIMIZER,
    "gradients": Role.OPTIMIZER,
    "random": Role.RNG,
    "generator": Role.RNG,
}


class CairnTrainingAssembler(Assembler):
    """Says what the files of a training checkpoint are for, and how far training had come."""

    @property
    def name(self) -> str:
        """`cairn-training`."""
        return FORMAT

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Each `checkpoint.json`."""
        return sorted(path for path in paths if path.rpartition("/")[2] == RECORD)

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """The tensors of all parts but the first model; None if it is another program's file."""
        with files[anchor].open() as source:
            said = read_json(source, MAX_TRAINING_RECORD_BYTES, what=RECORD, constants=True)
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            return None
        version = said.get("version")
        if not isinstance(version, int) or not 1 <= version <= VERSION:
            raise MalformedError(
                f"version {str(version)[:40]} of the format, up to {VERSION} is read",
                source=anchor,
            )
        parts = _parts(said, anchor)
        model = next((name for name, p in parts.items() if _role(p) is Role.WEIGHTS), "")
        made = Pieces(anchor)
        tensors: list[TensorInfo] = []
        replaced: set[str] = set()
        for name, one in parts.items():
            path = _file(anchor, one, files)
            if not path or name == model:
                continue
            replaced.add(path)
            layout = layouts.get(path)
            if layout is None:
                raise MalformedError(f"the file {path[:200]!r} could not be read", source=anchor)
            own = path[len(folder_of(anchor)) :]
            tensors += (_named(t, name, one, model, made.whole(t, own)) for t in layout.tensors)
        if "ranks" in said:
            ranks = RankFiles(anchor, _ranks(said, anchor), files, layouts, made)
            tensors += (_of_ranks(tensor, name, parts, model) for name, tensor in ranks.tensors())
            replaced |= ranks.paths
        return Assembly(self.name, anchor, frozenset(replaced), tuple(tensors), _metadata(said))


def _parts(said: Mapping[str, Any], anchor: str) -> dict[str, dict[str, Any]]:
    """The parts by name, that of the loop's own values too."""
    parts = said.get("parts")
    files = said.get("files")
    if not isinstance(parts, dict) or not isinstance(files, dict):
        raise MalformedError(f"{RECORD} lists no parts or no files", source=anchor)
    if not all(isinstance(one, dict) for one in parts.values()):
        raise MalformedError(f"a part in {RECORD} is not an object", source=anchor)
    own = f"{_VALUES}.safetensors"
    return {**parts, _VALUES: {"kind": _VALUES, "file": own if own in files else None}}


def _file(anchor: str, one: Mapping[str, Any], files: Files) -> str:
    """The path of a part's tensors; empty where it has none."""
    file = one.get("file")
    if file is None:
        return ""
    if not isinstance(file, str):
        raise MalformedError("the file of a part is not a name", source=anchor)
    return part(files, anchor, file)[0]


def _ranks(said: Mapping[str, Any], anchor: str) -> dict[str, Any]:
    ranks = said["ranks"]
    if not isinstance(ranks, dict):
        raise MalformedError("what the ranks kept is not an object", source=anchor)
    return ranks


def _of_ranks(
    tensor: TensorInfo, name: str, parts: Mapping[str, dict[str, Any]], model: str
) -> TensorInfo:
    """A tensor of the first model goes by its own name, as it does where its file stands alone."""
    if name == model:
        return tensor
    return _named(tensor, name, parts.get(name, {}), model, tensor.pieces)


def _role(one: Mapping[str, Any]) -> Role:
    kind, name = one.get("kind"), one.get("class")
    if isinstance(name, str) and name in _AVERAGES:
        return Role.EMA
    if kind == _MODULE:
        return Role.WEIGHTS
    return _KINDS.get(kind, Role.METADATA) if isinstance(kind, str) else Role.METADATA


def _named(
    stored: TensorInfo, name: str, one: Mapping[str, Any], model: str, pieces: Any
) -> TensorInfo:
    own = stored.name
    if one.get("kind") == "optimizer":
        own = own.replace(f"state.{model}.", "state.", 1)
    role = _role(one)
    return replace(
        stored,
        name=printable(f"{name}.{own}", MAX_NAME_CHARS),
        span=Span(0, 0) if pieces else stored.span,
        pieces=pieces,
        role=stored.role if role is Role.WEIGHTS else role,
    )


# --- what it says beside tensors -----------------------------------------------------------


def _metadata(said: Mapping[str, Any]) -> dict[str, Scalar]:
    """Progress, then the environment, then the numbers of all parts, as far as there is room."""
    found: dict[str, Scalar] = {}
    for key, value in _said(said):
        if len(found) >= MAX_METADATA_ITEMS:
            break
        found.setdefault(printable(key, MAX_METADATA_KEY_CHARS), value)
    return found


def _said(said: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    for key in ("step", "saved_at", "accumulated"):
        yield from _flat(key, said.get(key), 0)
    for key in ("metrics", "values", "environment"):
        inner = said.get(key)
        for name, value in inner.items() if isinstance(inner, dict) else ():
            yield from _flat(f"environment.{name}" if key == "environment" else name, value, 0)
    for name, one in said["parts"].items():
        if one.get("kind") not in (_MODULE, "random"):
            yield from _flat(name, one.get("state"), 0)


def _flat(prefix: str, value: Any, depth: int) -> Iterator[tuple[str, Scalar]]:
    """The plain values below a key; marked objects only where they hold further ones."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            marked = key.startswith("$")
            if not marked or isinstance(item, list):
                yield from _flat(prefix if marked else f"{prefix}.{key}", item, depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flat(f"{prefix}.{number}", item, depth + 1)
    elif isinstance(value, str):
        yield prefix, printable(value, MAX_METADATA_VALUE_CHARS)
    elif isinstance(value, float) and not math.isfinite(value):
        yield prefix, str(value)
    elif value is None or isinstance(value, bool | int | float):
        yield prefix, value
