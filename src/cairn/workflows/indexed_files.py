"""Files that hold no tensors and name those that do, and the checkpoint such a file stands for."""

from pathlib import Path

from cairn.domain import Layout
from cairn.errors import EntryNotFoundError, MalformedError
from cairn.formats import READERS, File, FileSource, Reader, read_layout
from cairn.formats.folder import beside
from cairn.formats.safetensors_index import INDEX_SUFFIX, read_index
from cairn.plugins import Registry
from cairn.workflows.local_files import local_file

INDEX_SUFFIXES = (f".safetensors{INDEX_SUFFIX}", f".bin{INDEX_SUFFIX}")
"""How the indexes of sharded checkpoints end."""

_DCP_METADATA = ".metadata"


def is_index(path: Path) -> bool:
    """Whether a file of this name stands for the files that it names."""
    return path.name.endswith(INDEX_SUFFIXES) or path.name == _DCP_METADATA


def indexed_files(
    path: Path, readers: Registry[Reader] = READERS
) -> tuple[dict[str, File], dict[str, Layout]]:
    """The index and the files it names that are there, by path relative to its folder.

    With them the index's own layout, if it has one. Files reached through a link that leads out
    of the folder are left out, as missing ones are.

    Raises:
        EntryNotFoundError: there is no such index.
        UntrustedDataError: it cannot be read, or names files that may lie outside its folder.
    """
    root = path.parent
    files = {path.name: local_file(path, path.name, root)}
    named, layouts = _read(path, readers)
    for reference in named:
        name = beside(path.name, reference)
        try:
            file = local_file(root / name, name, root)
        except EntryNotFoundError:
            continue
        if not file.leads_out:
            files[name] = file
    return files, layouts


def _read(path: Path, readers: Registry[Reader]) -> tuple[tuple[str, ...], dict[str, Layout]]:
    with FileSource(path, name=path.name) as source:
        if path.name != _DCP_METADATA:
            return read_index(source).shards, {}
        # Imported here: reading pickles is half of what starting up would cost.
        from cairn.formats.dcp_metadata import DcpLayout

        layout = read_layout(source, readers)
        if not isinstance(layout, DcpLayout):
            raise MalformedError(
                f"it is {layout.format}, not the metadata of a distributed checkpoint",
                source=path.name,
            )
        return layout.found.paths, {path.name: layout}
