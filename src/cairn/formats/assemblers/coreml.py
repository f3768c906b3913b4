"""Core ML programs: the names and shapes of the model, the blobs of the weights file beside it.

    model.mlmodel         names, types, shapes, and offsets of records
    weights/weight.bin    records and blobs

Specification: https://apple.github.io/coremltools/mlmodel/Format/MIL.html.
"""

from collections.abc import Iterable, Mapping

from cairn.domain import Assembly, Layout, Span
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files, part

_SUFFIX = ".mlmodel"


class CoremlAssembler(Assembler):
    """Joins a program with its weights, so that no blob counts twice."""

    @property
    def name(self) -> str:
        """`coreml`."""
        return "coreml"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Every `.mlmodel`."""
        return sorted(path for path in paths if path.endswith(_SUFFIX))

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """The program's tensors, each compared with the blob it refers to.

        Raises:
            MalformedError: the weights are missing or unreadable, or have no such blob.
        """
        program = layouts.get(anchor)
        if program is None or program.format != self.name:
            return None
        parts = {anchor}
        blobs: dict[str, dict[int, Span]] = {}
        for tensor in program.tensors:
            for piece in tensor.pieces:
                path, _ = part(files, anchor, piece.path)
                if path not in layouts:
                    raise MalformedError(
                        f"the file {path[:200]!r} could not be read", source=anchor
                    )
                parts.add(path)
                if path not in blobs:
                    blobs[path] = {t.span.start: t.span for t in layouts[path].tensors}
                if blobs[path].get(piece.span.start) != piece.span:
                    raise MalformedError(
                        f"tensor {tensor.name[:200]!r} is not one of the blobs in {path[:200]}",
                        source=anchor,
                    )
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(parts),
            tensors=program.tensors,
            metadata=program.metadata,
            notes=program.notes,
        )
