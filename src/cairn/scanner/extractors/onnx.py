"""ONNX models: their operations, subgraphs and functions included, and data outside the file.

The fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from typing import ClassVar

from cairn.domain import Source, Span
from cairn.formats import READERS
from cairn.formats.onnx_tensors import read_pair
from cairn.formats.protobuf import Wire
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.evidence.graphs import GraphOperation
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
    "tensor": {13: "external"},
}
_OWN_DOMAINS = ("", "ai.onnx")
_MAX_PROPERTY_BYTES = 4 << 20


class OnnxExtractor(Extractor):
    """What the reader takes for a model."""

    version: ClassVar[int] = 2

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
        try:
            for message in messages_in(wire, _SCHEMA, "model", wire.whole):
                _note(message, wire, seen, functions, trace)
        finally:  # what was seen before a break counts
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
        case ("external", span):
            _note_external(wire, span, trace)
        case ("property", span):
            key, value = read_pair(wire, span, _MAX_PROPERTY_BYTES)
            note_header_text(key, value, trace)


def _plain(domain: str) -> str:
    return "" if domain in _OWN_DOMAINS else domain[:300]


def _note_external(wire: Wire, span: Span, trace: Trace) -> None:
    key, value = read_pair(wire, span)
    if key == "location":
        trace.note(Reference(trace.at(span.start), "ONNX external data", value[:300]))
