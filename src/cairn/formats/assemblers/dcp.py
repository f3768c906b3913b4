"""Distributed checkpoints of torch (FSDP2, DTensor): global tensors from the chunks of all ranks.

    .metadata         names, shapes, chunks and their places; written last
    __R_N.distcp      what rank R wrote, archives one after the other

Every tensor must be held completely: a missing file, a chunk that is not where it should be, a gap
and an overlap are errors. Chunks stored twice at the same place are replicas, of which the first
counts. Source: `torch/distributed/checkpoint` of torch 2.13, and
https://docs.pytorch.org/docs/stable/distributed.checkpoint.html.
"""

import re
from collections.abc import Iterable, Mapping
from math import prod

from cairn.domain import Assembly, Layout, Piece, Role, Scalar, Span, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.boxes import Box, check_tiling
from cairn.formats.dcp_metadata import ChunkedTensor, DcpLayout, DcpMetadata, StoredItem
from cairn.formats.folder import Files, folder_of, part
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_KEY_CHARS, MAX_NAME_CHARS
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.roles import role_of_flat_name, role_of_keys, role_of_leaf
from cairn.formats.strided_pieces import Pieces
from cairn.formats.torch_archive import item_name

_ANCHOR = ".metadata"
_SHARD = ".distcp"
_ITEM = re.compile(r"item@\d+")


class DcpAssembler(Assembler):
    """Puts `.distcp` files together by the `.metadata` beside them."""

    @property
    def name(self) -> str:
        """`dcp`."""
        return "dcp"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Each `.metadata`, there or missing beside `.distcp` files."""
        known = list(paths)
        found = {path for path in known if path == folder_of(path) + _ANCHOR}
        found |= {folder_of(path) + _ANCHOR for path in known if path.endswith(_SHARD)}
        return sorted(found)

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """The global tensors, with the pickled objects as metadata."""
        if anchor not in files:
            raise MalformedError(
                "missing beside .distcp files",
                source=anchor,
                hint="It is written last: the save was interrupted, or the file was not copied",
            )
        layout = layouts.get(anchor)
        if not isinstance(layout, DcpLayout):
            return None
        found = layout.found
        notes = Notes(found.notes)
        shards = _Shards(anchor, files, layouts, found)
        tensors = tuple(shards.tensor(name, known) for name, known in found.tensors.items())
        if any(is_deceptive(tensor.name) for tensor in tensors):
            notes.add("tensor names contain control or invisible characters")
        own = {path for path in files if folder_of(path) == folder_of(anchor)}
        for path in sorted(own - shards.parts):
            if path.endswith(_SHARD):
                notes.add(f"the metadata does not name {path.rpartition('/')[2]}")
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(shards.parts),
            tensors=tensors,
            metadata=shards.objects(),
            notes=notes.listed(),
        )


class _Shards:
    """What the files named by one `.metadata` hold, by where each archive begins."""

    def __init__(
        self, anchor: str, files: Files, layouts: Mapping[str, Layout], found: DcpMetadata
    ) -> None:
        self._anchor = anchor
        self._found = found
        self._made = Pieces(anchor)
        self._tensors: dict[tuple[str, str], TensorInfo] = {}
        self._values: dict[tuple[str, str], list[tuple[str, Scalar]]] = {}
        self.parts = {anchor}
        for reference in found.paths:
            path, _ = part(files, anchor, reference)
            if path not in layouts:
                raise MalformedError(f"the file {path[:200]!r} could not be read", source=anchor)
            self.parts.add(path)
            self._index(reference, layouts[path])

    def _index(self, reference: str, layout: Layout) -> None:
        """Remember tensors and values; a file of one archive was read as a plain torch zip."""
        whole = layout.format == "torch-zip"
        for tensor in layout.tensors:
            name = item_name(0, tensor.name) if whole else tensor.name
            self._tensors[reference, name] = tensor
        for key, value in layout.metadata.items():
            name = item_name(0, key) if whole else key
            match = _ITEM.match(name)
            if match:
                below = (name[match.end() :].lstrip("."), value)
                self._values.setdefault((reference, match[0]), []).append(below)

    def tensor(self, name: str, known: ChunkedTensor) -> TensorInfo:
        """One global tensor.

        Raises:
            MalformedError: a chunk is missing or another than said, or they do not tile it.
        """
        boxes = tuple(dict.fromkeys(known.chunks))
        what = f"tensor {name[:200]!r}"
        try:
            check_tiling(known.shape, boxes, what)
        except MalformedError as error:
            raise MalformedError(error.what, source=self._anchor) from None
        pieces = tuple(piece for box in boxes for piece in self._pieces(name, known, box))
        keys = self._found.keys.get(name, ())
        around = role_of_keys(keys)
        last = keys[-1] if keys else name
        role = (
            role_of_leaf(last, around, known.shape)
            if around
            else role_of_flat_name(name, known.shape)
        )
        return TensorInfo(
            name=printable(name, MAX_NAME_CHARS),
            dtype=known.dtype,
            shape=known.shape,
            span=Span(0, 0),
            role=role,
            pieces=pieces,
            container=keys[0] if len(keys) > 1 and role is Role.WEIGHTS else "",
        )

    def _pieces(self, name: str, known: ChunkedTensor, box: Box) -> tuple[Piece, ...]:
        start, extent = box
        if not prod(extent):
            return ()
        item = self._item(name, start)
        stored = self._tensors.get((item.path, item_name(item.offset, "tensor")))
        what = f"the chunk of tensor {name[:200]!r} at {start}"
        if stored is None:
            raise MalformedError(
                f"{what} is not at byte {item.offset} of {item.path[:200]!r}", source=self._anchor
            )
        if (stored.dtype, stored.shape) != (known.dtype, extent):
            raise MalformedError(
                f"{what} is {stored.dtype.label} {stored.shape} in {item.path[:200]!r},"
                f" {known.dtype.label} {extent} expected",
                source=self._anchor,
            )
        return self._made.chunk(stored, start, item.path)

    def _item(self, name: str, start: tuple[int, ...]) -> StoredItem:
        item = self._found.items.get((name, start))
        if item is None:
            raise MalformedError(
                f"the chunk of tensor {name[:200]!r} at {start} lies in no file",
                source=self._anchor,
            )
        return item

    def objects(self) -> dict[str, Scalar]:
        """The values of the objects, by name.

        Raises:
            MalformedError: one lies in no file.
        """
        listed: dict[str, Scalar] = {}
        for name in self._found.objects:
            item = self._found.items.get((name, None))
            if item is None:
                raise MalformedError(
                    f"the object {name[:200]!r} lies in no file", source=self._anchor
                )
            for below, value in self._values.get((item.path, item_name(item.offset, "value")), ()):
                key = f"{name}.{below}" if below else name
                if len(listed) < MAX_METADATA_ITEMS:
                    listed[printable(key, MAX_METADATA_KEY_CHARS)] = value
        return listed
