"""The verb convert: any checkpoint as safetensors, one file or shards with their index.

Planning reads no values: names, sizes and what cannot be written are known before a byte is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from cairn.domain import Checkpoint, DType, Role, TensorInfo
from cairn.errors import IntegrityError, LimitError, RequestError
from cairn.formats import File, Files, FileSource, read_layout
from cairn.formats.folder import folder_of
from cairn.formats.reframing import Outgoing, Reframing, reframe, size_bytes
from cairn.formats.safetensors_index import INDEX_SUFFIX
from cairn.workflows.describe import PREFERRED_FORMATS
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.shards import SUFFIX, index_text, shard_names, shards
from cairn.workflows.state_dicts import (
    DEFAULT_ROLES,
    NamedTensor,
    StateDict,
    renamed,
    state_dict,
    without_repeats,
)
from cairn.workflows.terms_files import is_terms_file
from cairn.workflows.written import check_target, replacing, write_copy, write_reframed

FORMAT = "pt"
"""Value of the metadata key `format`, without which transformers refuses a file."""

# Configuration, tokenizers and cards; `.model` and `.spm` are SentencePiece's.
_COMPANION_SUFFIXES = (".json", ".txt", ".md", ".jinja", ".model", ".spm", ".vocab", ".bpe")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a checkpoint is written, and under which names; see `state_dicts`."""

    roles: tuple[Role, ...] = DEFAULT_ROLES
    exclude: tuple[str, ...] = ()
    strip: str = ""
    prefix: str = ""
    drop_repeats: bool = False
    shard_bytes: int | None = None
    dequantise: DType | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """The files to be written, by name, and the state dict they hold.

    `name` is that of the one file, or what its shards are numbered from. `others` names the
    files whose tensors of the same roles are not part of it.
    """

    name: str
    state: StateDict
    files: dict[str, Reframing]
    index: str | None = None
    others: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, but for the index."""
        return sum(file.size_bytes for file in self.files.values())


def plan(found: ReadableCheckpoint, name: str, choice: Choice, source: str) -> Conversion:
    """What converting to a file called `name` writes; `source` is noted in it.

    Raises:
        RequestError: nothing is chosen, the choice is ambiguous, or safetensors cannot hold it.
        LimitError: a header would become too large, or the values far larger than the files.
    """
    tensors, others = one_model(found.checkpoint, choice.roles)
    kept = [(p, t) for p, t in tensors if not any(fnmatchcase(t.name, g) for g in choice.exclude)]
    state = state_dict(kept, choice.roles)
    state = renamed(state, strip=choice.strip, prefix=choice.prefix)
    if choice.drop_repeats:
        state = without_repeats(state)
    noted = {"format": FORMAT, **_provenance(found.checkpoint, state, source)}
    metadata = {**state.dropped, **noted}  # dropped names as safetensors.torch.save_model does
    outgoing = [_outgoing(named, choice.dequantise) for named in state.tensors]
    written = sum(size_bytes(each) for each in outgoing)
    if written > found.max_value_bytes:
        raise LimitError(
            f"{written} bytes of values would be written, which these files cannot hold",
            source=source,
        )
    parts = list(shards(outgoing, choice.shard_bytes))
    names = shard_names(name, len(parts))
    files = {file: reframe(part, metadata) for file, part in zip(names, parts, strict=True)}
    index = index_text(names, parts) if len(parts) > 1 else None
    return Conversion(name, state, files, index, others)


def _outgoing(named: NamedTensor, dequantised: DType | None) -> Outgoing:
    dtype = named.tensor.dtype
    if dequantised is None or not dtype.is_block_quantised:
        return Outgoing(named.name, named.path, named.tensor, dtype)
    # Here, because listing a checkpoint needs no arrays.
    from cairn.formats.quantised import can_dequantise

    if not can_dequantise(dtype):
        raise RequestError(
            f"values of the type {dtype.label} are not decoded;"
            f" --exclude {named.tensor.name[:200]!r} leaves the tensor out"
        )
    return Outgoing(named.name, named.path, named.tensor, dequantised)


def _provenance(checkpoint: Checkpoint, state: StateDict, source: str) -> dict[str, str]:
    paths = {named.path for named in state.tensors}
    kinds = {a.path: a.format for a in checkpoint.assemblies}
    kinds |= {path: layout.format for path, layout in checkpoint.layouts.items()}
    formats = sorted({kinds[path] for path in paths if path in kinds})
    return {"cairn.source": source, "cairn.source_format": ", ".join(formats)}


# --- which of several models ---------------------------------------------------------------


def one_model(
    checkpoint: Checkpoint, roles: Sequence[Role]
) -> tuple[list[tuple[str, TensorInfo]], tuple[str, ...]]:
    """The tensors of one model, and the paths of what else has tensors of these roles.

    The same weights often lie in one folder in several formats, and others in folders below.
    """
    kinds = {path: layout.format for path, layout in checkpoint.layouts.items()}
    kinds |= {a.path: a.format for a in checkpoint.assemblies}
    groups: dict[tuple[str, str], list[tuple[str, TensorInfo]]] = {}
    for path, tensor in checkpoint.tensors():
        groups.setdefault((folder_of(path), kinds[path]), []).append((path, tensor))
    able = [key for key, held in groups.items() if any(t.role in roles for _, t in held)]
    if not able:
        return [located for held in groups.values() for located in held], ()
    top = min((folder for folder, _ in able), key=lambda folder: folder.count("/"))
    rivals = sorted({folder for folder, _ in able if folder.count("/") == top.count("/")})
    if len(rivals) > 1:
        listed = ", ".join(rivals[:8])
        raise RequestError(
            f"{checkpoint.name} holds several models, in {listed}; convert one of these folders"
        )
    within = [kind for folder, kind in able if folder == top]
    best = next((kind for kind in PREFERRED_FORMATS if kind in within), None)
    if best is None and len(within) > 1:
        raise RequestError(
            f"{checkpoint.name} holds weights in several formats ({', '.join(sorted(within))});"
            " name one file"
        )
    mine = (top, best or within[0])
    others = {path for key in able if key != mine for path, _ in groups[key]}
    return groups[mine], tuple(sorted(others))


# --- writing -------------------------------------------------------------------------------


def write(
    conversion: Conversion,
    files: Files,
    folder: Path,
    *,
    beside: Mapping[str, File] = MappingProxyType({}),
    force: bool = False,
    compare: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Write all files into `folder`, all of them or none, and read their headers back.

    `beside`: files to copy along. `compare`: every value is read back too. `progress` gets
    bytes newly written or compared.

    Raises:
        ConflictError: a file of that name is there and `force` is not given.
        UnavailableError: the disk has too little room.
        UntrustedDataError: a source file does not hold what its layout said.
        IntegrityError: what was written does not read back.
    """
    texts = {f"{conversion.name}{INDEX_SUFFIX}": conversion.index} if conversion.index else {}
    paths = [folder / name for name in (*conversion.files, *texts, *beside)]
    size = conversion.size_bytes + sum(file.size_bytes for file in beside.values())
    check_target(paths, size, force=force)
    with ExitStack() as stack:  # ends in reverse: the index appears last
        for name, text in texts.items():
            stack.enter_context(replacing(folder / name)).write(text.encode())
        for name, reframing in conversion.files.items():
            draft = stack.enter_context(replacing(folder / name))
            write_reframed(reframing, files, draft, progress)
            _check(reframing, draft.path, name, files if compare else None, progress)
        for name, file in beside.items():
            write_copy(file, stack.enter_context(replacing(folder / name)))
    return paths


def usual_name(found: ReadableCheckpoint) -> str:
    """What loaders look for in a folder like this one: transformers, peft or diffusers."""
    if "adapter_config.json" in found.files:
        return f"adapter_model{SUFFIX}"
    architecture = found.checkpoint.architecture
    if architecture is not None and architecture.evidence == "config.json: _class_name":
        return f"diffusion_pytorch_model{SUFFIX}"
    return f"model{SUFFIX}"


def companions(found: ReadableCheckpoint) -> dict[str, File]:
    """The configuration, tokenizer, card and licence files at the top of a checkpoint, by name."""
    return {
        path: file
        for path, file in found.files.items()
        if "/" not in path
        and (path.endswith(_COMPANION_SUFFIXES) or is_terms_file(path))
        and not path.endswith(INDEX_SUFFIX)
        and path not in found.checkpoint.layouts
        and not file.leads_out
    }


def _check(
    reframing: Reframing,
    path: Path,
    name: str,
    files: Files | None,
    progress: Callable[[int], None],
) -> None:
    """Read a written file back: its header, and its values against those in `files`."""
    from cairn.formats.reframed_source import differing

    with FileSource(path, name) as source:
        found = {t.name: (t.dtype, t.shape) for t in read_layout(source).tensors}
        planned = {o.name: (o.dtype, o.tensor.shape) for o in reframing.tensors}
        if found != planned:
            raise IntegrityError(f"{name} does not read back as it was written")
        wrong = None if files is None else differing(reframing, files, source, progress)
    if wrong is not None:
        raise IntegrityError(f"tensor {wrong[:200]!r} of {name} is not as in its source")
