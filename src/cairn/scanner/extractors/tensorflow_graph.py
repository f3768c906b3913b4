"""TensorFlow graphs: saved models, meta graphs and bare ones, and graphs held as constants.

    SavedModel   2 MetaGraphDef
    MetaGraphDef 2 GraphDef, 6 AssetFileDef (2 filename)
    GraphDef     1 NodeDef, 2 FunctionDefLibrary (1 FunctionDef)
    FunctionDef  1 OpDef (1 name), 3 NodeDef
    NodeDef      1 name, 2 operation, 3 inputs, 5 attributes: map entries of AttrValue (2)
    AttrValue    1 list (2 texts, 8 tensors), 2 text, 8 TensorProto (8 texts)

Specification: https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core, `protobuf` and
`framework` in it.
"""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Source, Span
from cairn.errors import UntrustedDataError
from cairn.formats import READERS, WindowSource
from cairn.formats.protobuf import DELIMITED, Wire
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.evidence.graphs import GraphOperation
from cairn.scanner.extractor import Extractor
from cairn.scanner.message_tree import Schema, messages_in, texts_of
from cairn.scanner.paths import leads_elsewhere
from cairn.scanner.tensorflow_paths import CheckpointPaths
from cairn.scanner.trace import Trace

_SCHEMA: Schema = {
    "saved model": {2: "meta graph"},
    "meta graph": {2: "graph", 6: "asset"},
    "graph": {1: "node", 2: "library"},
    "library": {1: "function"},
    "function": {3: "node", 5: "attribute"},
    "node": {5: "attribute"},
    "attribute": {2: "value"},
    "value": {1: "list", 2: "text", 8: "tensor"},
    "list": {2: "text", 8: "tensor"},
    "tensor": {8: "text"},
}
_READER = "tensorflow-saved-model"
_PEEKED_FIELDS = 200
_SMALLEST_GRAPH_BYTES = 8


class TensorflowGraphExtractor(Extractor):
    """Graphs, by their first messages."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`tensorflow-graph`."""
        return "tensorflow-graph"

    def claims(self, head: bytes, source: Source) -> bool:
        """A saved model by its reader, others by a node or meta data before a graph."""
        return bool(_kind(head, source))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each operation once, and take constants that are graphs apart."""
        wire = Wire(source)
        seen: dict[str, int] = {}
        functions: set[str] = set()
        scopes = [CheckpointPaths(wire, _SCHEMA)]
        inside = Span(0, 0)  # the function that is being walked; the graph's own nodes are outside
        kind = _kind(source.read_at(0, 4096), source)
        try:
            for message, span in messages_in(wire, _SCHEMA, kind, wire.whole):
                if message == "node":
                    name, operation = texts_of(wire, span, 1, 2)
                    seen.setdefault(operation[:300], span.start)
                    within = inside.start <= span.start < inside.stop
                    scopes[-1 if within else 0].add(name, operation, span)
                elif message == "function":
                    functions.update(_names_of_function(wire, span))
                    inside = span
                    scopes.append(CheckpointPaths(wire, _SCHEMA))
                elif message == "text" and span.size_bytes >= _SMALLEST_GRAPH_BYTES:
                    _enter_graph(source, span, trace)
                elif message == "asset":
                    target = texts_of(wire, span, 2)[0]
                    if leads_elsewhere(target):
                        place = trace.at(span.start)
                        trace.note(Reference(place, "TensorFlow asset", target[:300]))
        finally:  # what was seen before a break counts
            for name, offset in seen.items():
                defined = name in functions
                trace.note(GraphOperation(trace.at(offset), "tensorflow", "", name, defined))
        for scope in scopes:
            for offset, path in scope.leading_elsewhere():
                trace.note(Reference(trace.at(offset), "TensorFlow checkpoint", path[:300]))


def _names_of_function(wire: Wire, function: Span) -> Iterator[str]:
    """By which nodes of old graphs call it as an operation."""
    for field in wire.fields(function):
        if field.number == 1 and isinstance(field.value, Span):
            yield texts_of(wire, field.value, 1)[0]


def _enter_graph(source: Source, span: Span, trace: Trace) -> None:
    window = WindowSource(source, span.start, min(span.stop, source.size_bytes), "a constant")
    if _kind(window.read_at(0, 4096), window):
        trace.enter(f"constant at byte {span.start}", window)


def _kind(head: bytes, source: Source) -> str:
    """What a file or constant is: `saved model`, `meta graph`, `graph`, or empty."""
    if READERS.get(_READER).recognises(head, source):
        return "saved model"
    if head[:1] != b"\x0a":
        return ""
    wire = Wire(source, _PEEKED_FIELDS)
    try:
        fields = wire.fields(Span(0, source.size_bytes))
        first = next(fields)
        if isinstance(first.value, Span) and _is_node(wire, first.value):
            return "graph"
        second = next(fields, None)
        if second is not None and second.number == 2 and isinstance(second.value, Span):
            inner = next(wire.fields(second.value), None)
            node = None if inner is None else inner.value
            if inner is not None and inner.number == 1 and isinstance(node, Span):
                return "meta graph" if _is_node(wire, node) else ""
    except (UntrustedDataError, StopIteration):
        return ""
    return ""


def _is_node(wire: Wire, span: Span) -> bool:
    """A name, then an operation that could be one."""
    numbers = []
    for field in wire.fields(span):
        numbers.append(field.number)
        if field.wire_type != DELIMITED or field.number > 7:
            return False
        if field.number == 2 and isinstance(field.value, Span):
            operation = wire.text(field.value, 100)
            return numbers == [1, 2] and operation[:1].isalpha() and operation.isidentifier()
    return False
