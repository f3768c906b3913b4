"""ONNX models: a protobuf message with a graph whose initializers are the weights.

    ModelProto   1 ir_version, 2 producer_name, 3 producer_version, 4 domain, 5 model_version
                 7 graph, 8 opset_import (1 domain, 2 version), 14 metadata_props
                 20 training_info (1 initialization, 2 algorithm), 25 functions

There is no magic and no length in all: a file is recognised by its first fields. Tensors of
more than 2 GB lie in files beside the model. Specification:
https://github.com/onnx/onnx/blob/main/docs/IR.md and
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from dataclasses import dataclass, field

from cairn.domain import Architecture, Layout, Scalar, Source, Span
from cairn.errors import MalformedError, UntrustedDataError
from cairn.formats.limits import (
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_NAME_CHARS,
)
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.onnx_graph import OnnxGraphs
from cairn.formats.onnx_tensors import read_pair
from cairn.formats.protobuf import DELIMITED, VARINT, Wire
from cairn.formats.reader import Reader

_GRAPH = 7
# What may stand before the graph in a model, and in a graph at all.
_MODEL_FIELDS = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25), DELIMITED)
_GRAPH_FIELDS = (1, 2, 5, 10, 11, 12, 13, 14, 15, 16)
_MOST_FIELDS_BEFORE_GRAPH = 200
_TEXTS = {2: "producer_name", 3: "producer_version", 4: "domain"}
_NUMBERS = {1: "ir_version", 5: "model_version"}
# Keys of metadata_props under which exporters name the model.
_FAMILY_KEYS = ("model_type", "architecture")


@dataclass(slots=True)
class _Model:
    """What the fields of the outermost message say, beside graphs."""

    said: dict[str, Scalar] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    functions: int = 0


class OnnxReader(Reader):
    """Reads `.onnx`: initializers, constants, subgraphs and functions; operators are counted."""

    @property
    def name(self) -> str:
        """`onnx`."""
        return "onnx"

    def recognises(self, head: bytes, source: Source) -> bool:
        """An `ir_version`, then only fields of a model up to its graph."""
        if head[:1] != b"\x08":
            return False
        wire = Wire(source, _MOST_FIELDS_BEFORE_GRAPH)
        try:
            # A message without end: a truncated model is still a model.
            for number, value, wire_type, _ in wire.fields(Span(0, 1 << 62)):
                if _MODEL_FIELDS.get(number) != wire_type:
                    return False
                if number == _GRAPH and isinstance(value, Span):
                    key = source.read_at(value.start, 1)
                    return bool(key) and key[0] & 7 == DELIMITED and key[0] >> 3 in _GRAPH_FIELDS
        except UntrustedDataError:
            return False
        return False

    def read(self, source: Source) -> Layout:
        """Lay the model out from everything in it but the tensors' elements."""
        notes = Notes()
        wire = Wire(source)
        graphs = OnnxGraphs(wire, notes)
        model = _Model()
        seen: set[int] = set()
        for number, value, *_ in wire.fields(wire.whole):
            if number in seen and number in (_GRAPH, *_TEXTS, *_NUMBERS):
                raise MalformedError(f"field {number} of the model is there twice")
            seen.add(number)
            match number, value:
                case 7, Span() as graph:
                    graphs.walk(graph)
                case 20, Span() as training:
                    _training(wire, training, graphs)
                case 25, Span() as function:
                    model.functions += 1
                    graphs.walk_function(function)
                case _:
                    _take(wire, number, value, model)
        if not model.opsets:
            raise MalformedError(
                "the model imports no operators",
                source=source.name,
                hint="The file is truncated, or from before ONNX 1.0",
            )
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(graphs.tensors),
            storages=tuple(sorted(graphs.storages, key=lambda storage: storage.span)),
            metadata=_metadata(model, graphs),
            notes=notes.listed(),
            architecture=_architecture(model, graphs),
        )


def _take(wire: Wire, number: int, value: int | Span, model: _Model) -> None:
    match number, value:
        case ((1 | 5), int()):
            model.said[_NUMBERS[number]] = value
        case ((2 | 3 | 4), Span() as text):
            model.said[_TEXTS[number]] = wire.text(text, MAX_NAME_CHARS)
        case 8, Span() as opset:
            domain, version = _opset(wire, opset)
            model.opsets[domain] = version
        case 14, Span() as pair if len(model.properties) < MAX_METADATA_ITEMS:
            key, said = read_pair(wire, pair, 4 * MAX_METADATA_VALUE_CHARS)
            model.properties[key] = said


def _opset(wire: Wire, opset: Span) -> tuple[str, int]:
    domain, version = "", 0
    for number, value, *_ in wire.fields(opset):
        match number, value:
            case 1, Span() as text:
                domain = wire.text(text, MAX_METADATA_KEY_CHARS)
            case 2, int():
                version = value
    return domain or "ai.onnx", version


def _training(wire: Wire, training: Span, graphs: OnnxGraphs) -> None:
    for number, value, *_ in wire.fields(training):
        match number, value:
            case 1, Span() as graph:
                graphs.walk(graph, "initialization.")
            case 2, Span() as graph:
                graphs.walk(graph, "algorithm.")


def _metadata(model: _Model, graphs: OnnxGraphs) -> dict[str, Scalar]:
    said: dict[str, Scalar] = dict(model.said)
    said["graph"] = graphs.name
    said |= {f"opset.{domain}": version for domain, version in model.opsets.items()}
    if model.functions:
        said["functions"] = model.functions
    said |= {f"inputs.{name}": kind for name, kind in graphs.inputs.items()}
    said |= {f"outputs.{name}": kind for name, kind in graphs.outputs.items()}
    said |= {f"operators.{name}": count for name, count in graphs.operators.most_common()}
    said |= {f"properties.{key}": text for key, text in model.properties.items()}
    return {
        printable(key, MAX_METADATA_KEY_CHARS): printable(value, MAX_METADATA_VALUE_CHARS)
        if isinstance(value, str)
        else value
        for key, value in list(said.items())[:MAX_METADATA_ITEMS]
    }


def _architecture(model: _Model, graphs: OnnxGraphs) -> Architecture | None:
    """What the exporter says the model is; a graph alone names no family."""
    for key in _FAMILY_KEYS:
        family = model.properties.get(key, "")
        if family and family.isprintable() and len(family) <= MAX_METADATA_KEY_CHARS:
            return Architecture(family.lower(), graphs.name or None, f"ONNX metadata {key}")
    if model.properties.get("author") == "Ultralytics":
        return Architecture("yolo", graphs.name or None, "ONNX metadata author")
    return None
