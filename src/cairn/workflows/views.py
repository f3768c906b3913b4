"""Safetensors views: pickled weights of a repo, seen as the safetensors file they would make.

A view is a plan; its bytes are read from the stored file when somebody asks for them. Names are
those of the state dict inside, as `cairn convert` writes them.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cairn.domain import Entry, Layout, Revision
from cairn.errors import EntryNotFoundError, MalformedError
from cairn.formats import File
from cairn.formats.reframing import Outgoing, Reframing, reframe
from cairn.formats.safetensors_index import read_index
from cairn.workflows import browse
from cairn.workflows.house import House
from cairn.workflows.state_dicts import state_dict
from cairn.workflows.stored_file import opened

SUFFIX = ".safetensors"
FORMAT = "pt"
_ETAG_HEX = 40

# How transformers, peft and diffusers call safetensors files, and the pickles before them.
_PICKLED_STEMS = {
    "model": "pytorch_model",
    "adapter_model": "adapter_model",
    "diffusion_pytorch_model": "diffusion_pytorch_model",
}
_LOADED = re.compile(
    rf"(?P<folder>(?:.*/)?)(?P<stem>{'|'.join(_PICKLED_STEMS)})(?P<middle>[-.][\w.-]+)?"
    r"\.safetensors(?P<index>\.index(?:\.[\w-]+)?\.json)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SafetensorsView:
    """The file that a stored file would make; `etag` names these very bytes."""

    name: str
    reframing: Reframing
    etag: str
    entry: Entry

    @property
    def size_bytes(self) -> int:
        """Bytes of the view."""
        return self.reframing.size_bytes

    def files(self, house: House) -> dict[str, File]:
        """What its bytes are read from."""
        return {
            self.entry.path: File(self.entry.blob.size_bytes, partial(opened, house, self.entry))
        }


def view_of(entry: Entry, layout: Layout) -> SafetensorsView:
    """The view of a stored file with this layout.

    Raises:
        RequestError: it holds no weights, or some that safetensors cannot hold.
        MalformedError: its tensors lie in other files.
        LimitError: the header would become too large.
    """
    if any(piece.path for tensor in layout.tensors for piece in tensor.pieces):
        raise MalformedError(
            "its tensors lie in other files", source=entry.path, hint="Use cairn convert"
        )
    name = entry.path.rpartition("/")[2]
    state = state_dict((entry.path, tensor) for tensor in layout.tensors)
    metadata = {
        "format": FORMAT,
        "cairn.source": name,
        "cairn.source_format": layout.format,
        "cairn.source_sha256": entry.blob.digest.hex,
    }
    reframing = reframe(
        (Outgoing(n.name, n.path, n.tensor, n.tensor.dtype) for n in state.tensors), metadata
    )
    # The header names the source's digest, so it stands for the body as well.
    named = hashlib.sha256(reframing.header).hexdigest()[:_ETAG_HEX]
    stem = name.rpartition(".")[0] or name
    return SafetensorsView(f"{stem}{SUFFIX}", reframing, f"safetensors-view-{named}", entry)


def pickled_path(path: str) -> str | None:
    """The pickled file, or index of such, that a file loaders ask for could be made from."""
    found = _LOADED.fullmatch(path)
    if found is None:
        return None
    stem, middle = _PICKLED_STEMS[found["stem"]], found["middle"] or ""
    return f"{found['folder']}{stem}{middle}.bin{found['index'] or ''}"


def loaded_path(path: str) -> str | None:
    """The other way round: the name under which loaders ask for the view of a pickled file."""
    folder, _, name = path.rpartition("/")
    for loaded, stem in _PICKLED_STEMS.items():
        if name.startswith(stem) and name.endswith(".bin"):
            middle = name.removeprefix(stem).removesuffix(".bin")
            asked = f"{folder}/" * bool(folder) + f"{loaded}{middle}{SUFFIX}"
            return asked if pickled_path(asked) == path else None
    return None


def index_view(
    house: House, revision: Revision, path: str, view: Callable[[Entry], SafetensorsView]
) -> bytes:
    """The index of the views of a sharded pickle, whose own index is at `path`.

    `view` gives the view of a shard.

    Raises:
        EntryNotFoundError: a shard is not there, or has another name than loaders give it.
        UntrustedDataError, RequestError: the index makes no sense, or a shard has no view.
    """
    with opened(house, browse.file(house, revision, path)) as source:
        shards = read_index(source).shards
    folder = path[: path.rfind("/") + 1]
    places: dict[str, str] = {}
    total = 0
    for shard in shards:
        asked = loaded_path(folder + shard)
        if asked is None:
            raise EntryNotFoundError(f"no loader asks for the shard {shard[:200]!r}")
        seen = view(browse.file(house, revision, folder + shard))
        total += seen.size_bytes - len(seen.reframing.header)
        places.update((o.name, asked.removeprefix(folder)) for o in seen.reframing.tensors)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
