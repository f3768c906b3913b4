"""Exported programs of torch (.pt2, torch 2.7 on): a graph in JSON and each weight as a member.

    <top>/archive_format                        `pt2`
    <top>/archive_version, byteorder            `0`; `little` or `big`
    <top>/models/<model>.json                   the graph, its signature, versions
    <top>/data/weights/<model>_weights_config.json      {"config": {name: payload}}
    <top>/data/weights/weight_<n>               elements of one storage, stored
    <top>/data/constants/<model>_constants_config.json  likewise for constants
    <top>/data/constants/tensor_<n>
    <top>/data/sample_inputs/<model>.pt         example inputs, left alone

A payload is {path_name, is_param, use_pickle, tensor_meta: {dtype, sizes, strides,
storage_offset}}; a size is {"as_int": n}. Specification: `torch/_export/serde/schema.py` and
https://github.com/pytorch/pytorch/blob/main/torch/csrc/export/pt2_archive_constants.h.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cairn.domain import Layout, Role, Source, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.exported_graph import ExportedGraph
from cairn.formats.limits import (
    MAX_AXES,
    MAX_GRAPH_BYTES,
    MAX_NAME_CHARS,
    MAX_TENSORS,
    MAX_ZIP_DIRECTORY_BYTES,
)
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.strict_json import parse_json
from cairn.formats.strided_views import View, take_view
from cairn.formats.torch_storages import is_size
from cairn.formats.torch_types import SCALAR_TYPES
from cairn.formats.zip_archive import Member, ZipArchive
from cairn.formats.zip_directory import directory_bytes

_FORMAT = "/archive_format"
_PT2 = b"pt2"
_FOLDERS = ("data/weights/", "data/constants/")
_CONFIG = "_config.json"


class TorchExportReader(Reader):
    """Reads what `torch.export.save` writes: weights by qualified name, and the graph in short."""

    @property
    def name(self) -> str:
        """`torch-export`."""
        return "torch-export"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip with `<top>/archive_format` and a model in JSON."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        raw = directory_bytes(source, MAX_ZIP_DIRECTORY_BYTES)
        return _FORMAT.encode() in raw and b"/models/" in raw

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its JSON members and local headers."""
        notes = Notes()
        archive = ZipArchive(source)
        top = _top_folder(archive, source)
        graph = _graph(archive, top, source, notes)
        buffers = graph.buffers() | graph.constants()
        tensors: list[TensorInfo] = []
        storages: dict[str, Storage] = {}
        for folder in _FOLDERS:
            for name, payload, member in _payloads(archive, top + folder, source, notes):
                view = _view(name, payload, member, source)
                # Storages are shared by views; the first names the element type.
                storages.setdefault(member.name, Storage(member.data, view.dtype))
                is_buffer = name in buffers or payload.get("is_param") is False
                tensors.append(
                    TensorInfo(
                        name=printable(name, MAX_NAME_CHARS),
                        dtype=view.dtype,
                        shape=view.shape,
                        span=view.span,
                        role=Role.BUFFERS if is_buffer else Role.WEIGHTS,
                        strides=view.strides,
                    )
                )
        if len(tensors) > MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=source.name)
        held = (storage for storage in storages.values() if storage.span.size_bytes)
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tensors),
            storages=tuple(sorted(held, key=lambda storage: storage.span)),
            metadata=graph.metadata(),
            notes=notes.listed(),
            modules=graph.modules(),
        )


def _top_folder(archive: ZipArchive, source: Source) -> str:
    """The folder everything lies in, with a slash at its end."""
    marks = [member for member in archive if member.name.endswith(_FORMAT)]
    if len(marks) != 1 or "/" in marks[0].name.removesuffix(_FORMAT):
        raise MalformedError(
            f"{len(marks)} members called archive_format, one expected, in a folder at the top",
            source=source.name,
        )
    said, _ = archive.read(marks[0], len(_PT2) + 1)
    top = marks[0].name.removesuffix("archive_format")
    order = archive.members.get(f"{top}byteorder")
    if said.strip() != _PT2 or (order and archive.read(order, 16)[0].strip() != b"little"):
        raise MalformedError(
            f"the archive format is {said!r}, or its byte order is not little",
            source=source.name,
            offset=marks[0].data.start,
        )
    return top


def _graph(archive: ZipArchive, top: str, source: Source, notes: Notes) -> ExportedGraph:
    """The first model's graph; a graph too large to be looked at is noted."""
    models = sorted(m.name for m in archive if m.name.startswith(f"{top}models/"))
    graphs = [name for name in models if name.endswith(".json")]
    if len(graphs) > 1:
        notes.add(f"holds {len(graphs)} models; the graph of the first is looked at")
    if not graphs:
        return ExportedGraph(None)
    member = archive.members[graphs[0]]
    if member.size_bytes > MAX_GRAPH_BYTES:
        notes.add(f"a graph of {member.size_bytes} bytes is not looked at")
        return ExportedGraph(None)
    return ExportedGraph(_json(archive, member, source))


def _payloads(
    archive: ZipArchive, folder: str, source: Source, notes: Notes
) -> Iterator[tuple[str, Mapping[str, Any], Member]]:
    """Name, description and member of each tensor that a folder's configurations list."""
    seen: set[str] = set()
    for config in [m for m in archive if m.name.startswith(folder) and m.name.endswith(_CONFIG)]:
        parsed = _json(archive, config, source)
        listed = parsed.get("config") if isinstance(parsed, dict) else None
        if not isinstance(listed, dict):
            raise _refusal(config, source, "is no table of payloads")
        for name, payload in listed.items():
            if not isinstance(payload, dict) or not isinstance(payload.get("path_name"), str):
                raise _refusal(config, source, f"says nothing of {name[:200]!r}")
            if payload.get("use_pickle") or not payload.get("tensor_meta"):
                notes.add("holds pickled objects beside tensors, which are left alone")
                continue
            member = archive.members.get(folder + payload["path_name"])
            if member is None or not member.stored or name in seen:
                raise _refusal(
                    config, source, f"lists {name[:200]!r} twice, or its bytes are not stored here"
                )
            seen.add(name)
            yield name, payload, member


def _view(name: str, payload: Mapping[str, Any], member: Member, source: Source) -> View:
    meta = payload["tensor_meta"]
    meta = meta if isinstance(meta, dict) else {}
    kind = meta.get("dtype")
    dtype = SCALAR_TYPES.get(kind) if isinstance(kind, int) else None
    shape, strides = _integers(meta.get("sizes")), _integers(meta.get("strides"))
    offset = _integers([meta.get("storage_offset")])
    if dtype is None or shape is None or strides is None or offset is None:
        raise _refusal(member, source, f"{name[:200]!r} has no dtype, sizes, strides or offset")
    if len(shape) != len(strides):
        raise _refusal(member, source, f"{name[:200]!r} has one stride per axis missing")
    try:
        return take_view(dtype, shape, strides, offset[0], member.data)
    except MalformedError as error:
        raise _refusal(member, source, f"{name[:200]!r}: {error.what}") from None


def _integers(values: object) -> tuple[int, ...] | None:
    """The numbers in `[{"as_int": n}, ...]`; None where one is symbolic or out of bounds."""
    if not isinstance(values, list) or len(values) > MAX_AXES:
        return None
    found = [value.get("as_int") for value in values if isinstance(value, dict)]
    whole = tuple(n for n in found if isinstance(n, int) and is_size(n))
    return whole if len(whole) == len(values) else None


def _json(archive: ZipArchive, member: Member, source: Source) -> Any:
    data, intact = archive.read(member, MAX_GRAPH_BYTES)
    if not intact:
        raise _refusal(member, source, "has a wrong CRC-32")
    return parse_json(data, source.name, what=member.name[:200], constants=True)


def _refusal(member: Member, source: Source, why: str) -> MalformedError:
    return MalformedError(
        f"{member.name[:200]!r} {why}", source=source.name, offset=member.data.start
    )
