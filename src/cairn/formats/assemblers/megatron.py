"""Megatron-LM's checkpoints: one folder per model-parallel rank, listed side by side.

    latest_checkpointed_iteration.txt            the newest iteration
    iter_N/mp_rank_TT[_PPP[_EEE]]/
        model_optim_rng.pt                       what tensor, pipeline and expert rank T, P, E holds
        distrib_optim.pt                         the distributed optimizer's flat buffers, if used

Ranks are not merged: along which axis a tensor is cut is known to the model's code only. Source:
`get_checkpoint_name` in
https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/training/checkpointing.py. Checkpoints of
`--ckpt-format torch_dist` are distributed checkpoints of torch.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product

from cairn.domain import Assembly, Layout, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.limits import MAX_NAME_CHARS, MAX_TENSORS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.strided_pieces import Pieces

_RANK = re.compile(
    r"(?s)(?P<top>.*/)?(?P<folder>mp_rank_(?P<t>\d{2})(?:_(?P<p>\d{3}))?(?:_(?P<e>\d{3}))?)/"
    r"(?P<file>model_optim_rng|model_rng|distrib_optim)\.pt"
)
_MAIN = ("model_optim_rng", "model_rng")
_MAX_RANKS = 16_384
_LATEST = "latest_checkpointed_iteration.txt"
_MAX_LATEST_BYTES = 64


class MegatronAssembler(Assembler):
    """Lists the tensors of every model-parallel rank under the rank's name."""

    @property
    def name(self) -> str:
        """`megatron`."""
        return "megatron"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """The folder of the first rank, beside which those of the others lie."""
        first: dict[str, str] = {}
        for path in sorted(paths):
            match = _RANK.fullmatch(path)
            if match and match["file"] in _MAIN:
                first.setdefault(match["top"] or "", match["folder"])
        return sorted(top + folder for top, folder in first.items())

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """Every rank's tensors; all ranks of the grid must be there."""
        top = folder_of(anchor)
        ranks = _ranks(top, files)
        _check_grid(anchor, ranks)
        notes = Notes()
        made = Pieces(anchor)
        tensors: list[TensorInfo] = []
        parts: set[str] = set()
        main: Layout | None = None
        for folder, names in sorted(ranks.items()):
            prefix = f"{folder}." if len(ranks) > 1 else ""
            for name in names:
                path, _ = part(files, anchor, f"{folder}/{name}.pt")
                layout = layouts.get(path)
                if layout is None:
                    raise MalformedError(
                        f"the file {path[:200]!r} could not be read", source=anchor
                    )
                parts.add(path)
                group = "" if name in _MAIN else f"{name}."
                if not group and main is None:
                    main = layout
                if group:
                    notes.add("flat buffers of the distributed optimizer are listed as they are")
                tensors += _listed(layout, prefix + group, f"{folder}/{name}.pt", made)
                if len(tensors) > MAX_TENSORS:
                    raise LimitError(f"more than {MAX_TENSORS} tensors", source=anchor)
        if len(ranks) > 1:
            notes.add(f"{len(ranks)} model-parallel ranks")
            notes.add("tensor-parallel shards are listed per rank, not merged")
        _note_other_iteration(top, files, notes)
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(parts),
            tensors=tuple(tensors),
            metadata=main.metadata if main else {},
            notes=notes.listed(),
        )


def _ranks(top: str, files: Files) -> dict[str, list[str]]:
    """The files of each rank by its folder, the main one first."""
    found: dict[str, list[str]] = {}
    below = [path for path in files if path.startswith(top)]
    for path in sorted(below, reverse=True):  # model_ before distrib_
        match = _RANK.fullmatch(path)
        if match and (match["top"] or "") == top:
            found.setdefault(match["folder"], []).append(match["file"])
    return found


def _check_grid(anchor: str, ranks: Mapping[str, list[str]]) -> None:
    """Refuse a grid of ranks with one missing, or without its main file."""
    if len(ranks) > _MAX_RANKS:
        raise LimitError(f"more than {_MAX_RANKS} model-parallel ranks", source=anchor)
    widths = {folder.count("_") for folder in ranks}
    if len(widths) != 1:
        raise MalformedError(
            "ranks of different kinds lie side by side",
            source=anchor,
            hint="Runs with and without pipeline parallelism may have shared the folder",
        )
    numbers = [[int(n) for n in folder.removeprefix("mp_rank_").split("_")] for folder in ranks]
    axes = [range(max(column) + 1) for column in zip(*numbers, strict=True)]
    for at in product(*axes):
        digits = [f"{at[0]:02}", *(f"{n:03}" for n in at[1:])]
        folder = f"mp_rank_{'_'.join(digits)}"
        if not set(ranks.get(folder, ())) & set(_MAIN):
            raise MalformedError(f"the file '{folder}/{_MAIN[0]}.pt' is missing", source=anchor)


def _listed(layout: Layout, prefix: str, path: str, made: Pieces) -> Iterator[TensorInfo]:
    for tensor in layout.tensors:
        yield replace(
            tensor,
            name=printable(prefix + tensor.name, MAX_NAME_CHARS),
            span=Span(0, 0),
            strides=None,
            pieces=made.whole(tensor, path),
            container=prefix + tensor.container if tensor.container else "",
        )


def _note_other_iteration(top: str, files: Files, notes: Notes) -> None:
    folder = top.rstrip("/")
    file = files.get(folder_of(folder) + _LATEST) if folder else None
    if file is None or file.leads_out or file.size_bytes > _MAX_LATEST_BYTES:
        return
    with file.open() as source:
        text = source.read_at(0, _MAX_LATEST_BYTES).decode("utf-8", "replace").strip()
    name = folder.rpartition("/")[2]
    expected = f"iter_{text.zfill(7)}" if text.isdecimal() else text
    if name != expected:
        notes.add(f"`{_LATEST}` names {text[:40]!r}, not this folder")
