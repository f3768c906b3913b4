"""What several ranks kept in one training checkpoint: tensors in pieces, and what is a rank's own.

    ranks.pieces   part -> tensor -> shape, and `at`: [rank, start, extent] of each piece
    ranks.own      rank -> parts -> part -> file and state of what that rank has otherwise

A rank's tensors of a part lie in `<part>.rank-<rank>.safetensors`, pieces under the name of the
tensor. The keys are listed in docs/formats/cairn-training.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cairn.domain import Layout, Span, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.boxes import Box, check_tiling
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.strided_pieces import Pieces

_MOST_AXES = 64


class RankFiles:
    """The files that ranks wrote beside the first; `paths` grows as they are looked into."""

    def __init__(
        self,
        anchor: str,
        said: Mapping[str, Any],
        files: Files,
        layouts: Mapping[str, Layout],
        made: Pieces,
    ) -> None:
        """`said`: the key `ranks` of the record."""
        self._anchor = anchor
        self._said = said
        self._files = files
        self._layouts = layouts
        self._made = made
        self.paths: set[str] = set()

    def tensors(self) -> Iterator[tuple[str, TensorInfo]]:
        """Part and tensor: those in pieces as they are, a rank's own with the rank before.

        Raises:
            MalformedError: pieces do not make up their tensor, or a file is missing.
            LimitError: there are too many pieces.
        """
        pieces = self._objects(self._said, "pieces")
        for name in pieces:
            for tensor, said in self._objects(pieces, name).items():
                yield name, self._whole(name, tensor, said)
        own = self._objects(self._said, "own")
        for rank in own:
            parts = self._objects(self._objects(own, rank), "parts")
            for name in parts:
                if self._objects(parts, name).get("file") is not None:
                    yield from self._own(name, rank, pieces.get(name, {}))

    def _own(
        self, name: str, rank: str, pieces: Mapping[str, Any]
    ) -> Iterator[tuple[str, TensorInfo]]:
        path, own, tensors = self._file(name, rank)
        for tensor in tensors.values():
            if tensor.name not in pieces:
                placed = self._made.whole(tensor, own)
                span = Span(0, 0) if placed else tensor.span
                called = f"rank-{rank}.{tensor.name}"
                yield name, replace(tensor, name=called, span=span, pieces=placed)
        self.paths.add(path)

    def _whole(self, name: str, tensor: str, said: Any) -> TensorInfo:
        what = f"tensor {tensor[:200]!r} of {name[:100]!r}"
        shape, at = self._shape(said, what)
        found, boxes = [], []
        for rank, box in at:
            path, own, stored = self._file(name, str(rank))
            self.paths.add(path)
            piece = stored.get(tensor)
            if piece is None or piece.shape != box[1]:
                raise MalformedError(f"{what}: {own} has no such piece", source=self._anchor)
            found.append((piece, box[0], own))
            boxes.append(box)
        try:
            check_tiling(shape, boxes, what)
        except MalformedError as error:
            raise MalformedError(error.what, source=self._anchor) from None
        kinds = {piece.dtype for piece, _, _ in found}
        if len(kinds) != 1:
            raise MalformedError(f"{what}: pieces of several types", source=self._anchor)
        placed = tuple(
            p for piece, start, own in found for p in self._made.chunk(piece, start, own)
        )
        return TensorInfo(tensor, kinds.pop(), shape, Span(0, 0), found[0][0].role, pieces=placed)

    def _shape(self, said: Any, what: str) -> tuple[tuple[int, ...], list[tuple[int, Box]]]:
        """Shape, and rank and box of each piece."""
        try:
            at = [(rank, (_numbers(start), _numbers(extent))) for rank, start, extent in said["at"]]
            shape = _numbers(said["shape"])
        except (TypeError, KeyError, ValueError):
            raise MalformedError(f"{what} misstates its pieces", source=self._anchor) from None
        if not at or any(type(rank) is not int or rank < 0 for rank, _ in at):
            raise MalformedError(f"{what} misstates its pieces", source=self._anchor)
        return shape, at

    def _file(self, name: str, rank: str) -> tuple[str, str, dict[str, TensorInfo]]:
        """Path, name in the folder and tensors of what a rank wrote of a part."""
        own = f"{name}.rank-{rank}.safetensors"
        path, _ = part(self._files, self._anchor, own)
        layout = self._layouts.get(path)
        if layout is None:
            raise MalformedError(f"the file {path[:200]!r} could not be read", source=self._anchor)
        own = path[len(folder_of(self._anchor)) :]
        return path, own, {tensor.name: tensor for tensor in layout.tensors}

    def _objects(self, said: Mapping[str, Any], key: str) -> dict[str, Any]:
        found = said.get(key)
        if not isinstance(found, dict):
            raise MalformedError(
                f"{key[:100]!r} of the ranks is not an object", source=self._anchor
            )
        return found


def _numbers(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or len(said) > _MOST_AXES:
        raise ValueError
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in said):
        raise ValueError
    return tuple(said)
