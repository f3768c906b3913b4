"""DeepSpeed ZeRO checkpoints: named tensors from the flat vectors that ranks keep of them.

    latest                                                 the tag of the newest checkpoint
    TAG/mp_rank_MM_model_states.pt                         module, param_shapes (stages 1, 2)
    TAG/zero_pp_rank_D_mp_rank_MM_model_states.pt          the same, per rank (stage 3)
    TAG/[bf16_]zero_pp_rank_D_mp_rank_MM_optim_states.pt   flat fp32 vectors, moments

Stages 1 and 2 lay the parameters of a group end to end and cut that into one run per rank; stage
3 cuts every parameter by itself into runs of ceil(elements / ranks), the last ones padded. Source:
https://github.com/deepspeedai/DeepSpeed/blob/master/deepspeed/utils/zero_to_fp32.py.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from cairn.domain import Assembly, Layout, Scalar
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.deepspeed_files import Part, Ranks, ranks_of
from cairn.formats.deepspeed_states import read_model_states, read_partitioning
from cairn.formats.deepspeed_tensors import ZeroTensors
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.limits import MAX_METADATA_ITEMS
from cairn.formats.notes import Notes

_MAX_TAG_BYTES = 1024
_UNSHOWN = ("param_shapes", "buffer_names", "frozen_param_shapes", "shared_params")


class DeepSpeedAssembler(Assembler):
    """Gives ZeRO's masters and moments back as named tensors, beside the weights."""

    @property
    def name(self) -> str:
        """`deepspeed`."""
        return "deepspeed"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """One file of each folder with optimizer states: its first model states, if any."""
        return sorted(ranks.anchor for ranks in ranks_of(paths).values() if ranks.optimizers)

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """Weights, fp32 masters and moments, of every model-parallel rank by itself."""
        folder = folder_of(anchor)
        ranks = ranks_of(path for path in files if path.startswith(folder))[folder]
        opened = _Opened(anchor, files, layouts)
        notes = Notes()
        several = len(ranks.optimizers) > 1
        tensors = []
        metadata: dict[str, Scalar] = {}
        for model_rank in sorted(ranks.optimizers):
            found = opened.tensors(ranks, model_rank)
            found.collect(f"mp_rank_{model_rank:02}." if several else "")
            tensors += found.tensors
            notes.add(f"ZeRO stage {found.stage} over {found.ranks} ranks")
            metadata = metadata or _metadata(found)
        if several:
            notes.add("tensor-parallel shards are listed per rank, not merged")
        _note_other_tag(anchor, files, notes)
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(opened.parts),
            tensors=tuple(tensors),
            metadata=metadata,
            notes=notes.listed(),
        )


class _Opened:
    """The files of one tag, checked to be there before anything is put together."""

    LOOKS: ClassVar[str] = "The tag's folder needs the files of every rank"

    def __init__(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> None:
        self._anchor = anchor
        self._files = files
        self._layouts = layouts
        self.parts: set[str] = set()

    def tensors(self, ranks: Ranks, model_rank: int) -> ZeroTensors:
        """The tensors of one model-parallel rank, not yet collected."""
        optimizers = ranks.optimizers[model_rank]
        first = self._part(optimizers[min(optimizers)])
        with self._files[first.path].open() as source:
            how = read_partitioning(source)
        needed = ranks.optimizer_names(model_rank, how.ranks)
        models = ranks.model_names(model_rank, how.ranks if how.stage == 3 else 0)
        states = [self._part(name) for name in models]
        with self._files[states[0].path].open() as source:
            model = read_model_states(source)
        return ZeroTensors(how, model, states, [self._part(name) for name in needed])

    def _part(self, name: str) -> Part:
        path, _ = part(self._files, self._anchor, name)
        layout = self._layouts.get(path)
        if layout is None:
            raise MalformedError(
                f"the file {path[:200]!r} could not be read", source=self._anchor, hint=self.LOOKS
            )
        self.parts.add(path)
        return Part(name, path, layout)


def _metadata(found: ZeroTensors) -> dict[str, Scalar]:
    """The values of the model states and the settings of the optimizer's parameter groups."""
    listed: dict[str, Scalar] = {"zero_stage": found.stage}
    for key, value in found.settings():
        if not key.startswith(_UNSHOWN) and len(listed) < MAX_METADATA_ITEMS:
            listed[key] = value
    return listed


def _note_other_tag(anchor: str, files: Files, notes: Notes) -> None:
    folder = folder_of(anchor).rstrip("/")
    file = files.get(folder_of(folder) + "latest") if folder else None
    if file is None or file.leads_out or file.size_bytes > _MAX_TAG_BYTES:
        return
    with file.open() as source:
        tag = source.read_at(0, _MAX_TAG_BYTES).decode("utf-8", "replace").strip()
    if tag != folder.rpartition("/")[2]:
        notes.add(f"`latest` names {tag[:200]!r}, not this folder")
