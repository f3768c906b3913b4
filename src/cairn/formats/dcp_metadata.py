"""The `.metadata` of a distributed checkpoint: its tensors, their chunks, and where those lie.

A bare pickle of `torch.distributed.checkpoint.metadata.Metadata`, read as a program that is not
run. Fields used:

    state_dict_metadata   name -> TensorStorageMetadata (properties, size, chunks)
                                  or BytesStorageMetadata (an object pickled by itself)
    storage_data          MetadataIndex (fqn, offset)
                              -> _StorageInfo (relative_path, offset, length)
    planner_data          name -> the keys it was flattened from

Source: `torch/distributed/checkpoint/metadata.py`, `filesystem.py` and `default_planner.py` of
torch 2.13. Classes are not looked at, fields are: Megatron derives its own from `Metadata`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from cairn.domain import DType, Layout, Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.boxes import Box
from cairn.formats.limits import (
    MAX_CHUNKS,
    MAX_DATA_PKL_BYTES,
    MAX_DEPTH,
    MAX_INT64,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Call, Global, Value, read_program
from cairn.formats.pickle_values import call_target
from cairn.formats.pickled_objects import entries, fields, named, sequence, sizes
from cairn.formats.pickled_scalars import is_leaf, shown
from cairn.formats.torch_pickle import note_anomalies
from cairn.formats.torch_types import TORCH_DTYPES, TWO_PER_BYTE

_BYTES_CLASS = ".BytesStorageMetadata"


@dataclass(frozen=True, slots=True)
class ChunkedTensor:
    """A tensor as a whole: `chunks` are the boxes that are stored, not yet checked."""

    dtype: DType
    shape: tuple[int, ...]
    chunks: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An archive in a file beside: where it begins there and its length in bytes."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class DcpMetadata:
    """What the file says. `items` maps a name and where its chunk begins (None: an object).

    `notes` are the oddities met on the way.
    """

    tensors: Mapping[str, ChunkedTensor]
    objects: tuple[str, ...]
    items: Mapping[tuple[str, tuple[int, ...] | None], StoredItem]
    keys: Mapping[str, tuple[str, ...]]
    version: str
    notes: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The files named, each once, sorted."""
        return tuple(sorted({item.path for item in self.items.values()}))


@dataclass(frozen=True, slots=True)
class DcpLayout(Layout):
    """The layout of a `.metadata` file, which lists no tensor, with all that the file says.

    Whoever puts the files together needs that, and a large one takes seconds to read.
    """

    found: DcpMetadata = field(kw_only=True, repr=False, compare=False)


def read_dcp_metadata(source: Source) -> DcpMetadata:
    """Parse a whole `.metadata` file.

    Raises:
        LimitError: too large, too many tensors, chunks or opcodes.
        MalformedError: not a pickle of this kind, or bytes follow it.
    """
    if source.size_bytes > MAX_DATA_PKL_BYTES:
        raise LimitError(
            f"the metadata has {source.size_bytes} bytes, at most {MAX_DATA_PKL_BYTES} are read",
            source=source.name,
        )
    program = read_program(source)
    state = fields(program.result())
    if program.end != source.size_bytes:
        raise MalformedError("bytes follow the pickle", source=source.name, offset=program.end)
    if "state_dict_metadata" not in state:
        raise MalformedError("not the metadata of a distributed checkpoint", source=source.name)
    notes = Notes()
    note_anomalies(program, notes)
    return _Parsing(source.name, notes).metadata(state)


class _Parsing:
    """Turns the fields into nouns, looking into objects that many places share only once."""

    def __init__(self, source: str, notes: Notes) -> None:
        self._source = source
        self._notes = notes
        self._seen: dict[int, dict[str, Value]] = {}
        self._boxes: dict[int, Box] = {}
        self._paths: dict[int, tuple[str, ...]] = {}
        self._chunks_left = MAX_CHUNKS

    def metadata(self, state: dict[str, Value]) -> DcpMetadata:
        tensors: dict[str, ChunkedTensor] = {}
        objects: list[str] = []
        for name, value in named(state["state_dict_metadata"]).items():
            if len(name) > MAX_NAME_CHARS:
                raise LimitError(
                    f"a name of more than {MAX_NAME_CHARS} characters", source=self._source
                )
            if isinstance(value, Call) and call_target(value).endswith(_BYTES_CLASS):
                objects.append(name)
                continue
            found = self._tensor(name, value)
            if found is not None:
                tensors[name] = found
        if len(tensors) + len(objects) > MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=self._source)
        version = state.get("version")
        return DcpMetadata(
            tensors=tensors,
            objects=tuple(objects),
            items=self._items(state.get("storage_data")),
            keys={name: self._keys(v) for name, v in named(state.get("planner_data")).items()},
            version=str(shown(version)) if is_leaf(version) and version is not None else "",
            notes=self._notes.listed(),
        )

    def _fields(self, value: Value) -> dict[str, Value]:
        found = self._seen.get(id(value))
        if found is None:
            found = self._seen[id(value)] = fields(value)
        return found

    def _tensor(self, name: str, value: Value) -> ChunkedTensor | None:
        """The tensor, or None after a note if its dtype is not known."""
        about = self._fields(value)
        shape = sizes(about.get("size"))
        chunks = about.get("chunks")
        if shape is None or not isinstance(chunks, list):
            raise self._refusal(f"{name[:200]!r} is neither a tensor nor an object")
        if prod(shape) > MAX_INT64:
            raise self._refusal(f"tensor {name[:200]!r} has more than 2**63-1 elements")
        self._chunks_left -= len(chunks)
        if self._chunks_left < 0:
            raise LimitError(f"more than {MAX_CHUNKS} chunks", source=self._source)
        boxes = tuple(self._box(name, chunk) for chunk in chunks)
        dtype = self._dtype(about.get("properties"))
        if dtype is None or dtype.name not in TORCH_DTYPES or dtype.name in TWO_PER_BYTE:
            label = dtype.full_name[:100] if dtype else "none"
            self._notes.add(f"tensors of dtype {label}, which is not read")
            return None
        return ChunkedTensor(TORCH_DTYPES[dtype.name], shape, boxes)

    def _box(self, name: str, chunk: Value) -> Box:
        known = self._boxes.get(id(chunk))
        if known is not None:
            return known
        about = self._fields(chunk)
        start, extent = sizes(about.get("offsets")), sizes(about.get("sizes"))
        if start is None or extent is None:
            raise self._refusal(f"tensor {name[:200]!r} has a chunk without offsets and sizes")
        self._boxes[id(chunk)] = found = start, extent
        return found

    def _dtype(self, properties: Value) -> Global | None:
        """The dtype among the properties: the first of a tuple that is their state."""
        found = self._fields(properties).get("dtype")
        for state in properties.states or () if isinstance(properties, Call) else ():
            if isinstance(state, tuple) and state:
                found = state[0]
        return found if isinstance(found, Global) and found.module == "torch" else None

    def _items(self, value: Value) -> dict[tuple[str, tuple[int, ...] | None], StoredItem]:
        found: dict[tuple[str, tuple[int, ...] | None], StoredItem] = {}
        for key, info in entries(value):
            index, place = self._fields(key), self._fields(info)
            name, path = index.get("fqn"), place.get("relative_path")
            span = sizes((place.get("offset"), place.get("length")))
            if not isinstance(name, str) or not isinstance(path, str) or span is None:
                raise self._refusal("an entry of storage_data does not say what lies where")
            if place.get("transform_descriptors"):
                raise MalformedError(
                    f"{name[:200]!r} is stored through a transform, such as compression",
                    source=self._source,
                    hint="Save the checkpoint again without stream extensions",
                )
            start = index.get("offset")
            found[name, None if start is None else sizes(start)] = StoredItem(path, *span)
        return found

    def _keys(self, value: Value) -> tuple[str, ...]:
        found = self._paths.get(id(value))
        if found is None:
            keys = sequence(value)[:MAX_DEPTH]
            found = tuple(str(shown(key)) for key in keys if is_leaf(key))
            self._paths[id(value)] = found
        return found

    def _refusal(self, why: str) -> MalformedError:
        return MalformedError(why, source=self._source)
