"""Safetensors files whose tensors are partly copied from a model and partly computed, one by one.

Memory holds one tensor at a time, and what computing it needs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.domain import DType, Span, TensorInfo
from cairn.errors import IntegrityError, RequestError
from cairn.formats import File, FileSource, read_layout
from cairn.formats.dtypes import numpy_dtype
from cairn.formats.reframing import Outgoing, Reframing, reframe
from cairn.formats.safetensors_index import INDEX_SUFFIX
from cairn.workflows.convert import companions, one_model
from cairn.workflows.finetune_recipe import RECIPE
from cairn.workflows.finetune_work import RESULTS
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.shards import index_text, shard_names, shards
from cairn.workflows.state_dicts import DEFAULT_ROLES, NamedTensor, state_dict
from cairn.workflows.written import check_target, replacing, write_copy

Compute = Callable[[], NDArray[Any]]
FLOATS = frozenset((DType.F16, DType.BF16, DType.F32, DType.F64))


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights and buffers of one model by name, and the files they are read from."""

    found: ReadableCheckpoint
    tensors: Mapping[str, NamedTensor]
    label: str

    @property
    def floats_named(self) -> set[str]:
        """Names of what is learnt; whole numbers are positions and counts."""
        return {n for n, named in self.tensors.items() if named.tensor.dtype in FLOATS}

    def floats(self, name: str) -> NDArray[np.float32]:
        """The values of one as float32, in its shape, the caller's own.

        Raises:
            RequestError: it holds no floating-point numbers of 16 bits or more.
            UntrustedDataError: the file does not hold what its header says.
        """
        tensor = self.tensors[name].tensor
        if tensor.dtype not in FLOATS:
            raise RequestError(f"{name} of {self.label} is {tensor.dtype.label}, not a float")
        return self.array(name).astype(np.float32, copy=False)

    def array(self, name: str) -> NDArray[Any]:
        """The values of one as they are.

        Raises:
            RequestError: NumPy has no such type.
            UntrustedDataError: the file does not hold what its header says.
        """
        named = self.tensors[name]
        kind = numpy_dtype(named.tensor.dtype)
        if kind is None:
            raise RequestError(
                f"{name} of {self.label} is {named.tensor.dtype.label}: dequantise it first"
            )
        values = np.empty(named.tensor.shape, kind)
        room, at = values.reshape(-1).view(np.uint8), 0
        for block in self.found.blocks(named.path, named.tensor):
            room[at : at + len(block)] = block
            at += len(block)
        return values


def weights_of(found: ReadableCheckpoint, label: str) -> Weights:
    """The one model of a checkpoint.

    Raises:
        RequestError: there is none, or several.
    """
    tensors, _ = one_model(found.checkpoint, DEFAULT_ROLES)
    state = state_dict(tensors)
    return Weights(found, {named.name: named for named in state.tensors}, label)


@dataclass(frozen=True, slots=True)
class Computed:
    """What is written: tensors in order, how to compute some of them, and files of text beside.

    `texts` are whole files by name, such as a card; `files` are copied.
    """

    tensors: Sequence[Outgoing]
    computed: Mapping[str, Compute]
    metadata: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


def with_companions(what: Computed, source: ReadableCheckpoint) -> Computed:
    """The same with the configuration and tokenizer of the source beside; its card is replaced.

    How the source was fine-tuned, and what was measured then, is not true of what is made of it.
    """
    texts = dict(what.texts)
    left = {*texts, RECIPE, RESULTS}
    files = {n: f for n, f in companions(source).items() if n not in left}
    return Computed(what.tensors, what.computed, what.metadata, texts, files)


def copied(named: NamedTensor) -> Outgoing:
    """A tensor that keeps its name and type."""
    return Outgoing(named.name, named.path, named.tensor, named.tensor.dtype)


def new_tensor(name: str, dtype: DType, shape: tuple[int, ...]) -> Outgoing:
    """A tensor that lies nowhere yet."""
    elements = int(np.prod(shape, dtype=np.int64))
    tensor = TensorInfo(name, dtype, shape, Span(0, dtype.size_bytes(elements)))
    return Outgoing(name, "", tensor, dtype)


def write_computed(
    what: Computed,
    source: ReadableCheckpoint,
    folder: Path,
    name: str,
    *,
    shard_bytes: int | None = None,
    force: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Write all files into `folder`, all of them or none; `progress` gets bytes newly written.

    Raises:
        ConflictError: a file of that name is there and `force` is not given.
        UnavailableError: the disk has too little room.
        RequestError: a value is larger than its type holds.
        UntrustedDataError: a source file does not hold what its layout said.
        IntegrityError: a computed tensor is not of the planned size, or does not read back.
    """
    parts = list(shards(what.tensors, shard_bytes))
    names = shard_names(name, len(parts))
    files = {n: reframe(part, what.metadata) for n, part in zip(names, parts, strict=True)}
    texts = dict(what.texts)
    if len(parts) > 1:
        texts[f"{name}{INDEX_SUFFIX}"] = index_text(names, parts)
    folder.mkdir(parents=False, exist_ok=True)
    paths = [folder / n for n in (*files, *texts, *what.files)]
    check_target(paths, sum(file.size_bytes for file in files.values()), force=force)
    with ExitStack() as stack:  # ends in reverse: the index and the card appear last
        for text_name, text in texts.items():
            stack.enter_context(replacing(folder / text_name)).write(text.encode())
        for copied_name, file in what.files.items():
            write_copy(file, stack.enter_context(replacing(folder / copied_name)))
        for file_name, reframing in files.items():
            draft = stack.enter_context(replacing(folder / file_name))
            draft.write(reframing.header)
            for outgoing in reframing.tensors:
                _write_tensor(outgoing, what, source, draft.write, progress)
            _check_header(reframing, draft.path, file_name)
    return paths


def _write_tensor(
    outgoing: Outgoing,
    what: Computed,
    source: ReadableCheckpoint,
    write: Callable[[memoryview], None],
    progress: Callable[[int], None],
) -> None:
    compute = what.computed.get(outgoing.name)
    if compute is None:
        for block in source.blocks(outgoing.path, outgoing.tensor):
            write(block)
            progress(len(block))
        return
    kind = numpy_dtype(outgoing.dtype)
    try:
        with np.errstate(over="raise"):
            values = compute().astype(kind, copy=False)
    except FloatingPointError:
        raise RequestError(
            f"{outgoing.name} becomes larger than {outgoing.dtype.label} holds: take smaller"
            " weights or a smaller scale, or convert the model to F32 before"
        ) from None
    if values.shape != outgoing.tensor.shape:
        raise IntegrityError(
            f"{outgoing.name}: {values.shape} was computed, {outgoing.tensor.shape} planned"
        )
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    write(data)
    progress(len(data))


def _check_header(reframing: Reframing, path: Path, name: str) -> None:
    with FileSource(path, name) as source:
        found = {t.name: (t.dtype, t.shape) for t in read_layout(source).tensors}
    if found != {o.name: (o.dtype, o.tensor.shape) for o in reframing.tensors}:
        raise IntegrityError(f"{name} does not read back as it was written")
