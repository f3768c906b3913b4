"""Paths of checkpoints that a TensorFlow graph reads or writes and that its constants give.

Every saved model has operations that save and restore it, from a path that whoever saves hands in.
One that is a constant and leads elsewhere writes there whenever the model runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cairn.domain import Span
from cairn.formats.protobuf import Wire
from cairn.scanner.message_tree import Schema, messages_in
from cairn.scanner.paths import leads_elsewhere

# Which inputs of an operation are paths, from the first.
_ON_FILES = {"SaveV2": 1, "RestoreV2": 1, "MergeV2Checkpoints": 2}
_PASSING_ON = frozenset(
    (
        *("Identity", "StringJoin", "ShardedFilename", "PlaceholderWithDefault", "Pack"),
        *("Reshape", "ExpandDims", "Squeeze", "Fill", "Select", "SelectV2", "StringFormat"),
    )
)
_CONSTANT = "Const"
_INPUT = 3
_MOST_STEPS = 100
_MOST_PATH_BYTES = 4096


@dataclass(slots=True)
class CheckpointPaths:
    """The nodes of one graph or function by name, of those operations that matter here."""

    wire: Wire
    schema: Schema
    _nodes: dict[str, tuple[str, Span]] = field(default_factory=dict)

    def add(self, name: str, operation: str, node: Span) -> None:
        """Take a node in."""
        if operation == _CONSTANT or operation in _ON_FILES or operation in _PASSING_ON:
            self._nodes[name] = operation, node

    def leading_elsewhere(self) -> Iterator[tuple[int, str]]:
        """Constants that lead out of the model's folder: where the operation is, and the path."""
        for operation, node in self._nodes.values():
            if operation in _ON_FILES:
                for path in self._constants(self._inputs(node)[: _ON_FILES[operation]]):
                    if leads_elsewhere(path):
                        yield node.start, path

    def _constants(self, names: list[str]) -> Iterator[str]:
        waiting, seen = list(names), set[str]()
        while waiting and len(seen) < _MOST_STEPS:
            name = waiting.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            operation, node = self._nodes[name]
            if operation == _CONSTANT:
                yield from self._texts(node)
            elif operation in _PASSING_ON:
                waiting += self._inputs(node)

    def _inputs(self, node: Span) -> list[str]:
        """Names of nodes, without the number of the output that is taken."""
        texts = (
            self.wire.text(one.value, _MOST_PATH_BYTES)
            for one in self.wire.fields(node)
            if one.number == _INPUT and isinstance(one.value, Span)
        )
        return [text.lstrip("^").partition(":")[0] for text in texts]

    def _texts(self, node: Span) -> Iterator[str]:
        for message, span in messages_in(self.wire, self.schema, "node", node):
            if message == "text" and span.size_bytes <= _MOST_PATH_BYTES:
                yield self.wire.text(span, _MOST_PATH_BYTES)
