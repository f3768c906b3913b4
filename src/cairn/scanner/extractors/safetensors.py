"""Safetensors files: their tensors, what is written beside them, and what follows them."""

from typing import ClassVar

from cairn.domain import Source
from cairn.errors import MalformedError, TrailingBytesError, UntrustedDataError
from cairn.formats import READERS, WindowSource
from cairn.formats.limits import MAX_SAFETENSORS_HEADER_BYTES
from cairn.formats.strict_json import parse_json
from cairn.scanner.evidence.contents import ActiveText
from cairn.scanner.extractor import Extractor
from cairn.scanner.header_texts import note_header_text
from cairn.scanner.paths import base_name
from cairn.scanner.tensor_starts import note_tensor_starts
from cairn.scanner.trace import Trace

_LENGTH_BYTES = 8


class SafetensorsExtractor(Extractor):
    """What begins as one, and whatever bears the name: loaders go by it."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`safetensors`."""
        return "safetensors"

    def claims(self, head: bytes, source: Source) -> bool:
        """As the reader says, or by the name."""
        named = base_name(source).endswith(".safetensors")
        return named or READERS.get(self.name).recognises(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Lay it out; look into the metadata and at how tensors begin."""
        _note_metadata(source, trace)
        try:
            layout = READERS.get(self.name).read(source)
        except TrailingBytesError as error:
            trace.refuse(error)
            assert error.offset is not None
            name = "bytes after the tensors"
            trace.enter(name, WindowSource(source, error.offset, source.size_bytes, name))
            return
        note_tensor_starts(source, layout.tensors, trace)


def _note_metadata(source: Source, trace: Trace) -> None:
    """What the header says beside tensors; a header that cannot be read is the reader's to say."""
    length = int.from_bytes(source.read_at(0, _LENGTH_BYTES), "little")
    if length > min(MAX_SAFETENSORS_HEADER_BYTES, source.size_bytes):
        return
    try:
        header = parse_json(
            source.read_at(_LENGTH_BYTES, length), source.name, what="the header", constants=True
        )
    except UntrustedDataError:
        return
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise MalformedError("__metadata__ is no object", source=source.name)
    for key, value in metadata.items():
        if isinstance(value, str):
            note_header_text(f"/__metadata__/{key}", value, trace)
        else:
            place = trace.at(pointer=f"/__metadata__/{key[:300]}")
            trace.note(ActiveText(place, "metadata that is no text"))
