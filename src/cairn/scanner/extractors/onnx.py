"""ONNX models: their operations, subgraphs and functions included, and data outside the file.

The fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from typing import ClassVar

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats import READERS
from cairn.formats.onnx_tensors import TensorProto, external_span, read_pair, read_tensor
from cairn.formats.protobuf import Wire
from cairn.scanner.evidence.base import Broken
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.evidence.graphs import ExternalData, GraphOperation
from cairn.scanner.extractor import Extractor
from cairn.scanner.header_texts import note_header_text
from cairn.scanner.message_tree import Message, Schema, messages_in, texts_of
from cairn.scanner.tensor_starts import note_tensor_starts
from cairn.scanner.trace import Trace

_SCHEMA: Schema = {
    "model": {7: "graph", 14: "property", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse", 16: "property"},
    "function": {7: "node", 11: "attribute", 14: "property"},
    "node": {5: "attribute", 9: "property"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_OWN_DOMAINS = ("", "ai.onnx")
_MAX_PROPERTY_BYTES = 4 << 20

# What external data says of itself; some loaders set any key as an attribute of an object.
_PATHS = ("location", "basepath")
_KEYS = (*_PATHS, "offset", "length", "checksum")
_OF_RUNTIMES = "prepacked_"
_SHOWN_CHARS = 300


class OnnxExtractor(Extractor):
    """What the reader takes for a model."""

    version: ClassVar[int] = 3

    @property
    def name(self) -> str:
        """`onnx`."""
        return "onnx"

    def claims(self, head: bytes, source: Source) -> bool:
        """As the reader says."""
        return READERS.get(self.name).recognises(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Note operations and outside data, then lay the tensors out."""
        wire = Wire(source)
        seen: dict[tuple[str, str], int] = {}
        functions: set[tuple[str, str]] = set()
        outside = _OutsideData()
        try:
            for message in messages_in(wire, _SCHEMA, "model", wire.whole):
                if message.kind == "tensor":
                    outside.add(read_tensor(wire, message.span), trace)
                else:
                    _note(message, wire, seen, functions, trace)
        finally:  # what was seen before a break counts
            outside.note(trace)
            for (domain, name), offset in seen.items():
                defined = (domain, name) in functions
                trace.note(GraphOperation(trace.at(offset), "onnx", domain, name, defined))
        layout = READERS.get(self.name).read(source)
        inside = [tensor for tensor in layout.tensors if not any(p.path for p in tensor.pieces)]
        note_tensor_starts(source, inside, trace)


def _note(
    message: Message,
    wire: Wire,
    seen: dict[tuple[str, str], int],
    functions: set[tuple[str, str]],
    trace: Trace,
) -> None:
    match message:
        case ("node", span):
            operation, domain = texts_of(wire, span, 4, 7)
            seen.setdefault((_plain(domain), operation[:300]), span.start)
        case ("function", span):
            name, domain = texts_of(wire, span, 1, 10)
            functions.add((_plain(domain), name))
        case ("property", span):
            key, value = read_pair(wire, span, _MAX_PROPERTY_BYTES)
            note_header_text(key, value, trace)


def _plain(domain: str) -> str:
    return "" if domain in _OWN_DOMAINS else domain[:300]


class _OutsideData:
    """The files that tensors lie in, wherever the tensors stand, and how much of each they take."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, int]] = {}

    def add(self, tensor: TensorProto, trace: Trace) -> None:
        """Note each path that a loader could take, and what it cannot take for a place."""
        at = tensor.span.start
        for key, value in tensor.external_pairs:
            if key in _PATHS:
                trace.note(Reference(trace.at(at), "ONNX external data", value[:_SHOWN_CHARS]))
            elif key not in _KEYS and not key.startswith(_OF_RUNTIMES):
                trace.note(Broken(trace.at(at), f"external data has the key {key[:100]!r}"))
        if not tensor.is_external:
            return
        try:
            location, span = external_span(tensor)
        except MalformedError as error:
            trace.note(Broken(trace.at(at), error.what))
            return
        first, end = self._ends.get(location, (at, 0))
        self._ends[location] = first, max(end, span.stop)

    def note(self, trace: Trace) -> None:
        """Note each file once."""
        for location, (first, end) in self._ends.items():
            trace.note(ExternalData(trace.at(first), location[:_SHOWN_CHARS], end))
