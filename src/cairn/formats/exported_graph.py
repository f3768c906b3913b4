"""What the graph of an exported program says: its modules, operators, inputs and versions.

Source: `torch/_export/serde/schema.py` (`ExportedProgram`, `Node`) of torch 2.13, schema 8.20. A
node's `nn_module_stack` names the modules it came from, `key,path,class;key,path,class;...`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from cairn.domain import Scalar
from cairn.formats.limits import MAX_METADATA_KEY_CHARS, MAX_MODULES, MAX_NAME_CHARS
from cairn.formats.naming import printable

_MAX_OPERATORS = 500
_OPERATOR_PREFIX = "torch.ops."
_INDEXED = re.compile(r"@\d+\Z")  # the second and later calls of one module


class ExportedGraph:
    """The parsed JSON of a program; parts that are missing or of another kind say nothing."""

    def __init__(self, program: object) -> None:
        self._program = _mapping(program)
        self._module = _mapping(self._program.get("graph_module"))
        graph = _mapping(self._module.get("graph"))
        self._nodes = [_mapping(node) for node in _sequence(graph.get("nodes"))]

    def buffers(self) -> frozenset[str]:
        """The names the signature gives to buffers; a parameter is none, whatever its name."""
        return frozenset(self._inputs("buffer", "buffer_name"))

    def constants(self) -> frozenset[str]:
        """The names the signature gives to tensors that are neither parameter nor buffer."""
        return frozenset(self._inputs("tensor_constant", "tensor_constant_name"))

    def modules(self) -> dict[str, str]:
        """The class of each module that computed something, by dotted path."""
        found: dict[str, str] = {}
        for node in self._nodes:
            stack = _mapping(node.get("metadata")).get("nn_module_stack")
            for entry in stack.split(";") if isinstance(stack, str) else ():
                parts = entry.split(",")
                if len(parts) >= 3 and len(found) < MAX_MODULES:
                    path = _INDEXED.sub("", printable(parts[1], MAX_NAME_CHARS))
                    found.setdefault(path, printable(parts[2], MAX_METADATA_KEY_CHARS))
        return found

    def metadata(self) -> dict[str, Scalar]:
        """Versions, number of nodes, how often each operator occurs, inputs and outputs."""
        found: dict[str, Scalar] = {}
        version = self._program.get("torch_version")
        if isinstance(version, str):
            found["torch_version"] = printable(version, MAX_METADATA_KEY_CHARS)
        schema = _mapping(self._program.get("schema_version"))
        if schema:
            found["schema_version"] = f"{schema.get('major')}.{schema.get('minor')}"[:40]
        opsets = _mapping(self._program.get("opset_version"))
        for name, number in list(opsets.items())[:_MAX_OPERATORS]:
            if isinstance(number, int):
                found[f"opset.{printable(name, MAX_METADATA_KEY_CHARS)}"] = number
        found["nodes"] = len(self._nodes)
        found["inputs"] = sum(1 for _ in self._specs("input_specs", "user_input"))
        found["outputs"] = sum(1 for _ in self._specs("output_specs", "user_output"))
        for name, count in self._operators().most_common(_MAX_OPERATORS):
            found[f"ops.{printable(name, MAX_METADATA_KEY_CHARS)}"] = count
        return found

    def _operators(self) -> Counter[str]:
        targets = (node.get("target") for node in self._nodes)
        return Counter(t.removeprefix(_OPERATOR_PREFIX) for t in targets if isinstance(t, str))

    def _inputs(self, kind: str, key: str) -> Iterator[str]:
        for spec in self._specs("input_specs", kind):
            name = spec.get(key)
            if isinstance(name, str):
                yield name

    def _specs(self, side: str, kind: str) -> Iterator[Mapping[str, object]]:
        for spec in _sequence(_mapping(self._module.get("signature")).get(side)):
            found = _mapping(spec).get(kind)
            if isinstance(found, dict):
                yield found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[object]:
    return value if isinstance(value, list) else []
