"""Orbax folders: what a checkpoint of JAX holds, as far as plain JSON tells it.

    _METADATA          {"tree_metadata": {path: {"key_metadata": [{"key"}, ...],
                       "value_metadata": {"value_type", "write_shape"}}}, "use_ocdbt", "use_zarr3"}
    manifest.ocdbt, d  all arrays in one OCDBT database (the default)
    NAME/.zarray, ...  one Zarr array per leaf, where OCDBT was turned off

Source: https://github.com/google/orbax, `checkpoint/orbax/checkpoint/_src/metadata/tree.py`; the
database: https://google.github.io/tensorstore/kvstore/ocdbt/index.html. OCDBT is recognised and not
read: names and shapes are listed as metadata, as the element types stand in the database only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cairn.domain import Assembly, Layout, Scalar
from cairn.errors import MalformedError
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files, folder_of
from cairn.formats.limits import (
    MAX_CONFIG_BYTES,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
)
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.roles import role_of_flat_name
from cairn.formats.strict_json import read_json
from cairn.formats.zarr_arrays import chunks_by_folder, read_array

_METADATA, _MANIFEST = "_METADATA", "manifest.ocdbt"
_MOST_ANCHORS = 100  # steps of one run kept in a folder; each is searched for among all files


class OrbaxAssembler(Assembler):
    """Names what an Orbax folder holds; reads Zarr arrays that are not compressed."""

    @property
    def name(self) -> str:
        """`orbax`."""
        return "orbax"

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """Every `_METADATA`, and manifests of databases that have none above them."""
        known = list(paths)
        found = [p for p in known if p.rpartition("/")[2] == _METADATA]
        folders = tuple(folder_of(p) for p in found)
        for path in known:
            if path.rpartition("/")[2] == _MANIFEST and not path.startswith(folders):
                found.append(path)
                folders = (*folders, folder_of(path))
        return found[:_MOST_ANCHORS]

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """List the leaves that the metadata names, and the Zarr arrays beside it."""
        del layouts
        folder = folder_of(anchor)
        notes = Notes()
        metadata: dict[str, Scalar] = {}
        if anchor.endswith(_METADATA):
            tree = _tree(anchor, files)
            if tree is None:
                return None
            metadata = dict(_leaves(tree, anchor))
        if folder + _MANIFEST in files:
            notes.add("an Orbax checkpoint (OCDBT): recognised, tensors not read yet")
        elif any(path.startswith(folder) and path.endswith("/zarr.json") for path in files):
            notes.add("an Orbax checkpoint of Zarr 3 arrays: recognised, tensors not read yet")
        here = {path: file for path, file in files.items() if path.startswith(folder)}
        tensors = []
        for array, chunks in sorted(chunks_by_folder(here).items()):
            found = read_array(array, folder, here, chunks, notes)
            if found is not None:
                tensors.append(replace(found, role=role_of_flat_name(found.name)))
        return Assembly(
            format=self.name,
            path=anchor,
            parts=frozenset(
                (anchor, *(folder + p.path for t in tensors for p in t.pieces if p.path))
            ),
            tensors=tuple(tensors),
            metadata=metadata,
            notes=notes.listed(),
        )


def _tree(anchor: str, files: Files) -> Mapping[str, Any] | None:
    """The leaves by their paths; None if the file is not Orbax's."""
    with files[anchor].open() as source:
        found = read_json(source, MAX_CONFIG_BYTES, what=_METADATA, constants=True)
    tree = found.get("tree_metadata") if isinstance(found, dict) else None
    return tree if isinstance(tree, dict) else None


def _leaves(tree: Mapping[str, Any], anchor: str) -> Iterator[tuple[str, Scalar]]:
    """Names of leaves, each with its type and shape in words."""
    for leaf in list(tree.values())[:MAX_METADATA_ITEMS]:
        keys = leaf.get("key_metadata") if isinstance(leaf, dict) else None
        value = leaf.get("value_metadata") if isinstance(leaf, dict) else None
        if not isinstance(keys, list) or not isinstance(value, dict):
            raise MalformedError("a leaf without a key or a value", source=anchor)
        name = ".".join(str(key.get("key")) for key in keys if isinstance(key, dict))
        words = str(value.get("value_type"))
        if value.get("write_shape") is not None:
            words += f" of shape {value['write_shape']}"
        # Under a key of their own: a leaf named `step` is not how far training had come.
        key = printable(f"tree.{name}", MAX_METADATA_KEY_CHARS)
        yield key, printable(words, MAX_METADATA_VALUE_CHARS)
