"""The record of a checkpoint that several ranks wrote, from what each of them reports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from cairn.errors import RequestError, UnavailableError
from cairn.training.ranks.division import Share
from cairn.training.ranks.record import OwnRecord, RanksRecord, SavedPieces, own_json, parse_own
from cairn.training.ranks.sharding import Box
from cairn.training.record import Record, SavedFile, files_json, parse_files
from cairn.training.values import Json

_SHARED = "the folder has to lie on a disk that all ranks share"


def report(kept: Share, files: Mapping[str, SavedFile]) -> Json:
    """What a rank wrote, and what of it is its own."""
    return {
        "files": files_json(files),
        "boxes": {
            part: {name: [list(s), list(b.start), list(b.extent)] for name, (s, b) in said.items()}
            for part, said in kept.boxes.items()
        },
        "own": own_json(kept.own),
    }


def check_is_shared(draft: Path) -> None:
    """Whether this rank sees what the first has made.

    Raises:
        UnavailableError: it does not.
    """
    if not draft.is_dir():
        raise UnavailableError(f"{draft} is not to be seen from here: {_SHARED}")


def composed(record: Record, reports: Sequence[Json], draft: Path) -> Record:
    """The record of all ranks, after a look at the files that they say to have written.

    Raises:
        RequestError: pieces do not make their tensor.
        UnavailableError: a file is not to be seen.
    """
    files: dict[str, SavedFile] = {}
    for rank, said in enumerate(reports):
        for name, file in parse_files(said):
            path = draft / name
            if not path.is_file() or path.stat().st_size != file.size_bytes:
                raise UnavailableError(f"{path}, which rank {rank} wrote, is not there: {_SHARED}")
            files[name] = file
    own = {rank: parse_own(said["own"]) for rank, said in enumerate(reports)}
    ranks = RanksRecord(
        len(reports),
        dict(_pieces(reports)),
        {rank: one for rank, one in own.items() if one != OwnRecord(None, {})},
    )
    return replace(record, files=files, ranks=ranks)


def _pieces(reports: Sequence[Json]) -> Iterator[tuple[str, dict[str, SavedPieces]]]:
    """Tensors in pieces by part and name."""
    found: dict[str, dict[str, list[tuple[int, Any]]]] = {}
    for rank, said in enumerate(reports):
        for part, tensors in said["boxes"].items():
            for name, one in tensors.items():
                found.setdefault(part, {}).setdefault(name, []).append((rank, one))
    for part, by_name in found.items():
        yield part, {name: _one(f"{part}.{name}", said) for name, said in by_name.items()}


def _one(what: str, said: Sequence[tuple[int, Any]]) -> SavedPieces:
    shape = tuple(said[0][1][0])
    boxes = tuple((rank, Box(tuple(start), tuple(n))) for rank, (_, start, n) in said)
    if sum(prod(box.extent) for _, box in boxes) != prod(shape):
        raise RequestError(f"{what}: the pieces of the ranks do not make up its shape {shape}")
    return SavedPieces(shape, boxes)
