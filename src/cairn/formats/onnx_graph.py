"""The graphs of an ONNX file: which operators they have, and the tensors that stand in them.

    GraphProto      1 node, 2 name, 5 initializer, 11 input, 12 output, 15 sparse_initializer
    NodeProto       2 output, 4 op_type, 5 attribute, 7 domain
    AttributeProto  1 name, 5 t, 6 g, 10 tensors, 11 graphs, 22 and 23 sparse tensors
    FunctionProto   1 name, 7 node
    ValueInfoProto  1 name, 2 type: 1 tensor_type: 1 elem_type, 2 shape: 1 dim

Specification: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections import Counter

from cairn.domain import Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import (
    MAX_ALL_NAMES_CHARS,
    MAX_METADATA_ITEMS,
    MAX_NAME_CHARS,
    MAX_ONNX_DEPTH,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.onnx_tensors import DTYPES, place, read_tensor, storages_of
from cairn.formats.protobuf import Wire

_MAX_OPERATOR_CHARS = 200
_OTHER_OPERATORS = "others"


class OnnxGraphs:
    """Collects what graphs hold, one graph after the other.

    Tensors in constants are named by what their node gives out; inside a subgraph all names
    come after the output of the node it belongs to and the attribute's name.
    """

    def __init__(self, wire: Wire, notes: Notes) -> None:
        self._wire = wire
        self._notes = notes
        self._names: set[str] = set()
        self._names_chars = 0
        self.tensors: list[TensorInfo] = []
        self.storages: list[Storage] = []
        self.operators: Counter[str] = Counter()
        self.inputs: dict[str, str] = {}
        self.outputs: dict[str, str] = {}
        self.name = ""

    def walk(self, graph: Span, prefix: str = "", depth: int = 0) -> None:
        """Take in a graph and those below it.

        Raises:
            MalformedError, LimitError: see `Wire` and `onnx_tensors.place`.
        """
        if depth > MAX_ONNX_DEPTH:
            raise LimitError(f"graphs nest more than {MAX_ONNX_DEPTH} times")
        for number, value, *_ in self._wire.fields(graph):
            match number, value:
                case 1, Span() as node:
                    self._node(node, prefix, depth)
                case 2, Span() as name if not depth and not prefix:
                    self.name = self._wire.text(name, MAX_NAME_CHARS)
                case 5, Span() as tensor:
                    self._tensor(tensor, prefix)
                case 15, Span():
                    self._notes.add("sparse initializers are not read")
                case 11, Span() as info if not depth and not prefix:
                    self._value(info, self.inputs)
                case 12, Span() as info if not depth and not prefix:
                    self._value(info, self.outputs)

    def walk_function(self, function: Span) -> None:
        """Take in a function; its names come after the function's."""
        nodes: list[Span] = []
        name = ""
        for number, value, *_ in self._wire.fields(function):
            match number, value:
                case 1, Span() as text:
                    name = self._wire.text(text, MAX_NAME_CHARS)
                case 7, Span() as node:
                    nodes.append(node)
        for node in nodes:
            self._node(node, f"{name}.", 1)

    def _node(self, node: Span, prefix: str, depth: int) -> None:
        output = operator = domain = ""
        attributes: list[Span] = []
        for number, value, *_ in self._wire.fields(node):
            match number, value:
                case 2, Span() as text if not output:
                    output = self._wire.text(text, MAX_NAME_CHARS)
                case 4, Span() as text:
                    operator = self._wire.text(text, _MAX_OPERATOR_CHARS)
                case 7, Span() as text:
                    domain = self._wire.text(text, _MAX_OPERATOR_CHARS)
                case 5, Span() as attribute:
                    attributes.append(attribute)
        label = f"{domain}.{operator}" if domain and domain != "ai.onnx" else operator
        if label not in self.operators and len(self.operators) >= MAX_METADATA_ITEMS:
            label = _OTHER_OPERATORS
        self.operators[label] += 1
        for attribute in attributes:
            self._attribute(attribute, prefix + output, depth)

    def _attribute(self, attribute: Span, owner: str, depth: int) -> None:
        name = ""
        several = 0
        for number, value, *_ in self._wire.fields(attribute):
            match number, value:
                case 1, Span() as text:
                    name = self._wire.text(text, MAX_NAME_CHARS)
                case 5, Span() as tensor:
                    self._tensor(tensor, owner, of_node=True)
                case 10, Span() as tensor:
                    self._tensor(tensor, f"{owner}.{name}.{several}", of_node=True)
                    several += 1
                case 6, Span() as graph:
                    self.walk(graph, f"{owner}.{name}.", depth + 1)
                case 11, Span() as graph:
                    self.walk(graph, f"{owner}.{name}.{several}.", depth + 1)
                    several += 1
                case ((22 | 23), Span()):
                    self._notes.add("sparse tensors in constants are not read")

    def _tensor(self, span: Span, prefix: str, *, of_node: bool = False) -> None:
        proto = read_tensor(self._wire, span)
        name = prefix if of_node else prefix + proto.name
        if len(name) > MAX_NAME_CHARS:
            raise LimitError(f"a tensor's name has more than {MAX_NAME_CHARS} characters")
        found = place(proto, name, constant=of_node)
        if isinstance(found, str):
            self._notes.add(f"{name[:200]}: {found}")
            return
        if name in self._names:
            raise MalformedError(f"two tensors are named {name[:200]!r}")
        if is_deceptive(name):
            self._notes.add("tensor names contain control or invisible characters")
        self._names.add(name)
        self._names_chars += len(name)
        if self._names_chars > MAX_ALL_NAMES_CHARS or len(self.tensors) >= MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors, or their names are too long")
        self.tensors.append(found)
        self.storages += storages_of(found)

    def _value(self, info: Span, into: dict[str, str]) -> None:
        """An input or output with its type, such as `F32[batch, 3]`; initializers are none."""
        name = kind = ""
        for number, value, *_ in self._wire.fields(info):
            match number, value:
                case 1, Span() as text:
                    name = self._wire.text(text, MAX_NAME_CHARS)
                case 2, Span() as type_proto:
                    kind = self._type(type_proto)
        if name not in self._names and len(into) < MAX_METADATA_ITEMS:
            into[printable(name, _MAX_OPERATOR_CHARS)] = kind

    def _type(self, type_proto: Span) -> str:
        for number, value, *_ in self._wire.fields(type_proto):
            match number, value:
                case 1, Span() as tensor_type:
                    return self._tensor_type(tensor_type)
                case 4, Span():
                    return "sequence"
                case 5, Span():
                    return "map"
                case 8, Span():
                    return "sparse tensor"
                case 9, Span():
                    return "optional"
        return ""

    def _tensor_type(self, tensor_type: Span) -> str:
        element = ""
        axes: list[str] = []
        for number, value, *_ in self._wire.fields(tensor_type):
            match number, value:
                case 1, int() as data_type:
                    dtype = DTYPES.get(data_type)
                    element = "text" if dtype is None else dtype.label
                case 2, Span() as shape:
                    for inner, dimension, *_ in self._wire.fields(shape):
                        if inner == 1 and isinstance(dimension, Span):
                            axes.append(self._axis(dimension))
        return f"{element}[{', '.join(axes[:MAX_METADATA_ITEMS])}]"

    def _axis(self, dimension: Span) -> str:
        for number, value, *_ in self._wire.fields(dimension):
            match number, value:
                case 1, int() as size:
                    return str(size)
                case 2, Span() as symbol:
                    return printable(self._wire.text(symbol, _MAX_OPERATOR_CHARS), 40)
        return "?"
