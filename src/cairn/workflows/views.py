"""Safetensors views: pickled weights of a repo, seen as the safetensors file they would make.

A view is a plan; its bytes are read from the stored files when somebody asks for them. Names are
those of the state dict inside, as `cairn convert` writes them. Shards make one view together.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cairn.domain import Entry, Layout, Revision
from cairn.errors import EntryNotFoundError, LimitError, MalformedError
from cairn.formats import File
from cairn.formats.reframing import Outgoing, Reframing, reframe
from cairn.formats.safetensors_index import read_index
from cairn.workflows import browse
from cairn.workflows.house import House
from cairn.workflows.readable import max_value_bytes
from cairn.workflows.state_dicts import state_dict
from cairn.workflows.stored_file import opened

SUFFIX = ".safetensors"
FORMAT = "pt"
MAX_SHARDS = 1000
"""Headers read for one view; the largest models published have some 200 shards."""

_ETAG_HEX = 40

# How transformers, peft and diffusers call safetensors files, and the pickles before them.
_PICKLED_STEMS = {
    "model": "pytorch_model",
    "adapter_model": "adapter_model",
    "diffusion_pytorch_model": "diffusion_pytorch_model",
}
_LOADED = re.compile(
    rf"(?P<folder>(?:.*/)?)(?P<stem>{'|'.join(_PICKLED_STEMS)})(?P<variant>\.[\w-]+)?"
    r"\.safetensors",
    re.ASCII,
)
_INDEX = re.compile(r".+\.bin\.index(?:\.[\w-]+)?\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class SafetensorsView:
    """The file that stored files would make; `etag` names these very bytes."""

    name: str
    reframing: Reframing
    etag: str
    entries: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the view."""
        return self.reframing.size_bytes

    def files(self, house: House) -> dict[str, File]:
        """What its bytes are read from."""
        return {e.path: File(e.blob.size_bytes, partial(opened, house, e)) for e in self.entries}


def view_of(parts: Sequence[tuple[Entry, Layout]]) -> SafetensorsView:
    """The view of one stored file, or of shards, with these layouts.

    Raises:
        RequestError: it holds no weights, or some that safetensors cannot hold.
        MalformedError: its tensors lie in other files.
        LimitError: the header would become too large, or the values far larger than the files.
    """
    tensors = [(entry.path, tensor) for entry, layout in parts for tensor in layout.tensors]
    if any(piece.path for _, tensor in tensors for piece in tensor.pieces):
        raise MalformedError(
            "its tensors lie in other files", source=parts[0][0].path, hint="Use cairn convert"
        )
    first = parts[0][0].path.rpartition("/")[2]
    digest = _joint_digest([entry for entry, _ in parts])
    metadata = {
        "format": FORMAT,
        "cairn.source": first if len(parts) == 1 else f"{first} and {len(parts) - 1} more",
        "cairn.source_format": ", ".join(sorted({layout.format for _, layout in parts})),
        "cairn.source_sha256": digest,
    }
    state = state_dict(tensors)
    if state.size_bytes > max_value_bytes(sum(entry.blob.size_bytes for entry, _ in parts)):
        raise LimitError(
            f"its {state.size_bytes} bytes of values are more than such files hold",
            source=parts[0][0].path,
        )
    reframing = reframe(
        (Outgoing(n.name, n.path, n.tensor, n.tensor.dtype) for n in state.tensors), metadata
    )
    # The header names the sources' digest, so it stands for the body as well.
    named = hashlib.sha256(reframing.header).hexdigest()[:_ETAG_HEX]
    stem = first.rpartition(".")[0] or first
    etag = f"safetensors-view-{named}"
    return SafetensorsView(f"{stem}{SUFFIX}", reframing, etag, tuple(e for e, _ in parts))


def _joint_digest(entries: Sequence[Entry]) -> str:
    """The SHA-256 of a file; of shards, that of their SHA-256 one after the other, in hex."""
    digests = [entry.blob.digest.hex for entry in entries]
    joined = "".join(digests).encode()
    return digests[0] if len(digests) == 1 else hashlib.sha256(joined).hexdigest()


def pickled_path(path: str) -> str | None:
    """The pickled file that a file loaders ask for could be made from, by its name."""
    found = _LOADED.fullmatch(path)
    if found is None:
        return None
    stem, variant = _PICKLED_STEMS[found["stem"]], found["variant"] or ""
    return f"{found['folder']}{stem}{variant}.bin"


def _index_of(pickled: str) -> str:
    """The index there is when a pickled file is kept in shards."""
    stem, variant = pickled.removesuffix(".bin"), ""
    folder, slash, name = stem.rpartition("/")
    if "." in name:
        name, _, variant = name.partition(".")
        variant = f".{variant}"
    return f"{folder}{slash}{name}.bin.index{variant}.json"


def implied_sources(house: House, revision: Revision, pickled: str) -> tuple[Entry, ...]:
    """The file at `pickled`, or the shards of its index.

    Raises:
        EntryNotFoundError: there is neither.
        UntrustedDataError: the index makes no sense.
    """
    try:
        return (browse.file(house, revision, pickled),)
    except EntryNotFoundError:
        index = browse.file(house, revision, _index_of(pickled))
    return shards_of(house, revision, index)


def is_index(entry: Entry) -> bool:
    """Whether a file is the index of pickled shards, by its name."""
    return _INDEX.fullmatch(entry.path) is not None


def shards_of(house: House, revision: Revision, index: Entry) -> tuple[Entry, ...]:
    """The files an index names.

    Raises:
        EntryNotFoundError: one is not there.
        UntrustedDataError: the index makes no sense, or names too many.
    """
    with opened(house, index) as source:
        shards = read_index(source).shards
    if not 0 < len(shards) <= MAX_SHARDS:
        raise LimitError(f"{len(shards)} shards, 1 to {MAX_SHARDS} are read", source=index.path)
    folder = index.path[: index.path.rfind("/") + 1]
    return tuple(browse.file(house, revision, folder + shard) for shard in shards)
