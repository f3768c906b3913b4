"""Keras v3 files (.keras): a zip of the model's configuration and an HDF5 file of its weights.

    metadata.json       {"keras_version", "date_saved"}
    config.json         the model's class and layers, how it was compiled
    model.weights.h5    HDF5, stored: layers/<path>/vars/<number>, optimizer/vars/<number>
    assets/...          vocabularies and the like

Source: https://github.com/keras-team/keras/blob/master/keras/src/saving/saving_lib.py.
"""

from dataclasses import replace

from cairn.domain import Layout, Piece, Scalar, Source, Span, Storage, TensorInfo
from cairn.errors import MalformedError, UntrustedDataError
from cairn.formats.hdf5_contents import Hdf5Contents, read_contents
from cairn.formats.keras_config import KerasModel, modules_of, parse_model, role_in
from cairn.formats.limits import MAX_CONFIG_BYTES, MAX_METADATA_VALUE_CHARS, MAX_ZIP_DIRECTORY_BYTES
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.sources import WindowSource
from cairn.formats.strict_json import parse_json
from cairn.formats.zip_archive import ZipArchive
from cairn.formats.zip_directory import find_directory

_WEIGHTS = "model.weights.h5"
_CONFIG, _METADATA = "config.json", "metadata.json"


class KerasReader(Reader):
    """Reads `.keras`: tensors from the HDF5 file inside, the architecture from its config."""

    @property
    def name(self) -> str:
        """`keras`."""
        return "keras"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A zip with a member `model.weights.h5`."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        try:
            span = find_directory(source).span
        except UntrustedDataError:
            # Damaged at its end; Keras writes this member first.
            return head[30:].startswith(_METADATA.encode() + b'{"keras_version"')
        wanted = min(span.size_bytes, MAX_ZIP_DIRECTORY_BYTES)
        directory = source.read_at(span.start, wanted)
        return _WEIGHTS.encode() in directory and _CONFIG.encode() in directory

    def read(self, source: Source) -> Layout:
        """Lay the archive out from its directory, its JSON and the HDF5 file's headers."""
        archive = ZipArchive(source)
        member = archive.members.get(_WEIGHTS)
        if member is None or not member.stored:
            what = "missing" if member is None else "compressed"
            raise MalformedError(
                f"{_WEIGHTS} is {what}",
                source=source.name,
                hint="Load the model with Keras and save it again",
            )
        label = f"{source.name}!{_WEIGHTS}"
        window = WindowSource(source, member.data.start, member.data.stop, label)
        contents = read_contents(window)
        notes = contents.notes
        model = _model(archive, source, notes)
        layers = {} if model is None else modules_of(model, contents.attributes)
        modules = {path: layer.class_name for path, layer in layers.items()}
        if model is not None:
            modules[""] = model.class_name
        by = member.data.start
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(
                replace(_moved(t, by), role=role_in(layers, t)) for t in contents.tensors
            ),
            storages=tuple(Storage(_span(s.span, by), s.dtype) for s in contents.storages),
            metadata=_metadata(archive, source, contents, model),
            notes=notes.listed(),
            architecture=None if model is None else model.architecture,
            modules=modules,
        )


def _json(archive: ZipArchive, name: str) -> bytes | None:
    member = archive.members.get(name)
    return None if member is None else archive.read(member, MAX_CONFIG_BYTES)[0]


def _model(archive: ZipArchive, source: Source, notes: Notes) -> KerasModel | None:
    raw = _json(archive, _CONFIG)
    if raw is None:
        notes.add(f"there is no {_CONFIG}")
        return None
    return parse_model(raw, source.name, _CONFIG, notes)


def _metadata(
    archive: ZipArchive, source: Source, contents: Hdf5Contents, model: KerasModel | None
) -> dict[str, Scalar]:
    found = dict(contents.metadata)
    raw = _json(archive, _METADATA)
    declared = {} if raw is None else parse_json(raw, source.name, what=_METADATA)
    if isinstance(declared, dict):
        for key in ("keras_version", "date_saved"):
            if isinstance(declared.get(key), str):
                found[key] = printable(declared[key], MAX_METADATA_VALUE_CHARS)
    for key, value in {} if model is None else model.training.items():
        found[f"compile_config.{key}"] = value
    return found


def _span(span: Span, by: int) -> Span:
    return Span(span.start + by, span.stop + by)


def _moved(tensor: TensorInfo, by: int) -> TensorInfo:
    """A tensor of the HDF5 file, where it lies in the archive."""
    pieces: tuple[Piece, ...] = tuple(replace(p, span=_span(p.span, by)) for p in tensor.pieces)
    return replace(tensor, span=_span(tensor.span, by), pieces=pieces)
