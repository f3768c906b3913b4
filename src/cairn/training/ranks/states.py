"""The saved states as one rank takes them: what all have, its own, and pieces of every rank."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cairn.errors import MalformedError
from cairn.formats.training_record import RECORD
from cairn.training.capture import VALUES
from cairn.training.ranks.record import SavedPieces, rank_file
from cairn.training.ranks.sharding import Pieces
from cairn.training.record import Record
from cairn.training.tensors import read_tensors
from cairn.training.values import Json, SavedTensors


class SavedStates:
    """A checkpoint of a rank, whose files are looked into and not read before they are needed.

    A rank that was not there when it was saved takes what the first has.
    """

    def __init__(self, folder: Path, record: Record, rank: int) -> None:
        self._folder = folder
        self._record = record
        own = record.ranks.own.get(rank)
        self._own = {} if own is None else own.parts
        self._files: dict[str, Mapping[str, Tensor]] = {}
        self._tensors: dict[str, SavedTensors] = {}

    def state(self, part: str) -> Json:
        """The state of a part, or the values of the loop."""
        if part in self._own:
            return self._own[part].state
        return self._record.values if part == VALUES else self._record.parts[part].state

    def tensors(self, part: str) -> SavedTensors:
        """The tensors of a part.

        Raises:
            UntrustedDataError: a file is no safetensors file, or the record misstates it.
        """
        if part not in self._tensors:
            own = self._own[part].file if part in self._own else None
            pieces = self._record.ranks.pieces.get(part, {})
            self._tensors[part] = {
                **self._file(self._common(part)),
                **self._file(own),
                **{name: self._pieces(part, name, one) for name, one in pieces.items()},
            }
        return self._tensors[part]

    def _common(self, part: str) -> str | None:
        if part == VALUES:
            file = f"{VALUES}.safetensors"
            return file if file in self._record.files else None
        return self._record.parts[part].file

    def _pieces(self, part: str, name: str, saved: SavedPieces) -> Pieces:
        found = [(box, self._file(rank_file(part, rank))[name]) for rank, box in saved.boxes]
        kinds = {piece.dtype for _, piece in found}
        if len(kinds) != 1 or any(tuple(piece.shape) != box.extent for box, piece in found):
            why = f"the pieces of {part}.{name} are not what the record says"
            raise MalformedError(why, source=RECORD)
        return Pieces(saved.shape, kinds.pop(), found)

    def _file(self, file: str | None) -> Mapping[str, Tensor]:
        if file is None:
            return {}
        if file not in self._record.files:
            raise MalformedError(f"{file!r} is not among the files", source=RECORD)
        if file not in self._files:
            self._files[file] = read_tensors(self._folder / file)
        return self._files[file]
