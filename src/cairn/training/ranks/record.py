"""What a checkpoint of several ranks says beside that of the first: `ranks` in its record.

Its keys are listed in docs/formats/cairn-training.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cairn.domain.runs import Setting
from cairn.formats.strict_json import MisstatedError, value_of
from cairn.training.ranks.sharding import Box
from cairn.training.values import Json

_SETTINGS = (str, int, bool, type(None))
_MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class OwnPart:
    """A part as a rank other than the first has it: its state, and tensors that differ."""

    file: str | None
    state: Json


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """What a rank has that the first has not; its environment if that is another one."""

    environment: Mapping[str, Setting] | None
    parts: Mapping[str, OwnPart]


@dataclass(frozen=True, slots=True)
class SavedPieces:
    """A tensor that is kept in pieces: its shape, and which rank has which."""

    shape: tuple[int, ...]
    boxes: tuple[tuple[int, Box], ...]


@dataclass(frozen=True, slots=True)
class RanksRecord:
    """How many ranks trained; tensors in pieces by part and name; what ranks have of their own."""

    size: int = 1
    pieces: Mapping[str, Mapping[str, SavedPieces]] = field(default_factory=dict)
    own: Mapping[int, OwnRecord] = field(default_factory=dict)

    def to_json(self) -> Json:
        """As it stands in the record."""
        return {
            "size": self.size,
            "pieces": {
                part: {
                    name: {
                        "shape": list(one.shape),
                        "at": [[r, list(b.start), list(b.extent)] for r, b in one.boxes],
                    }
                    for name, one in tensors.items()
                }
                for part, tensors in self.pieces.items()
            },
            "own": {str(rank): own_json(one) for rank, one in self.own.items()},
        }


def own_json(own: OwnRecord) -> Json:
    """What a rank has of its own, as it stands in the record."""
    return {
        "environment": own.environment,
        "parts": {name: {"file": p.file, "state": p.state} for name, p in own.parts.items()},
    }


def rank_file(part: str, rank: int) -> str:
    """The file of what a rank keeps of a part: its pieces, and what is its own."""
    return f"{part}.rank-{rank}.safetensors"


def parse_ranks(said: Mapping[str, Any]) -> RanksRecord:
    """From the record.

    Raises:
        KeyError, MisstatedError: it lacks or misstates something.
    """
    size = value_of(said, "size", int)
    if size < 1:
        raise MisstatedError("'size'")
    pieces = {
        part: {name: _pieces(one, size) for name, one in _objects(tensors)}
        for part, tensors in _objects(value_of(said, "pieces", dict))
    }
    own = {
        _rank(int(rank) if rank.isascii() and rank.isdigit() else -1, size): parse_own(one)
        for rank, one in _objects(value_of(said, "own", dict))
    }
    return RanksRecord(size, pieces, own)


def parse_own(said: Mapping[str, Any]) -> OwnRecord:
    """What a rank has of its own.

    Raises:
        KeyError, MisstatedError: it lacks or misstates something.
    """
    environment = value_of(said, "environment", dict, type(None))
    if environment is not None:
        environment = {key: value_of(environment, key, *_SETTINGS) for key in environment}
    parts = {
        name: OwnPart(value_of(one, "file", str, type(None)), one["state"])
        for name, one in _objects(value_of(said, "parts", dict))
    }
    return OwnRecord(environment, parts)


def _pieces(said: Mapping[str, Any], size: int) -> SavedPieces:
    shape = _numbers(value_of(said, "shape", list))
    boxes = []
    for one in value_of(said, "at", list):
        if not isinstance(one, list) or len(one) != 3:
            raise MisstatedError("'at'")
        box = Box(_numbers(one[1]), _numbers(one[2]))
        if not len(box.start) == len(box.extent) == len(shape):
            raise MisstatedError("'at'")
        stops = [a + n for a, n in zip(box.start, box.extent, strict=True)]
        if any(stop > n for stop, n in zip(stops, shape, strict=True)):
            raise MisstatedError("'at', beyond the shape")
        boxes.append((_rank(one[0], size), box))
    return SavedPieces(shape, tuple(boxes))


def _rank(said: Any, size: int) -> int:
    if type(said) is not int or not 0 <= said < size:
        raise MisstatedError("the number of a rank")
    return said


def _numbers(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or len(said) > _MOST_DIMENSIONS:
        raise MisstatedError("a shape")
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in said):
        raise MisstatedError("a shape")
    return tuple(said)


def _objects(said: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in said:
        yield name, value_of(said, name, dict)
