"""TensorFlow's saved_model.pb: the graph beside the variables, told without running it.

    SavedModel        1 schema version (1), 2 meta graphs
    MetaGraphDef      1 meta info, 2 graph, 5 signatures (a map by name)
    MetaInfoDef       4 tags, 5 version of TensorFlow
    GraphDef          1 nodes, 2 library of functions
    FunctionDef       3 nodes
    NodeDef           1 name, 2 operation

The variables lie in variables/variables.index, which is read by itself. Specification:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_model.proto,
`meta_graph.proto` beside it, `graph.proto` and `function.proto` in `core/framework`.
"""

from collections import Counter
from collections.abc import Iterator

from cairn.domain import Layout, Scalar, Source, Span
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_LISTED_VALUES, MAX_METADATA_ITEMS, MAX_METADATA_KEY_CHARS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.protobuf import Wire
from cairn.formats.reader import Reader

_SCHEMA = b"\x08\x01\x12"  # schema version 1, then the first meta graph
_MAX_VARINT_BYTES = 10
_MAX_NAME_BYTES = 512
# What reaches beyond the tensors when a graph runs: operations by what they do.
_REACHING = {
    **dict.fromkeys(("PyFunc", "PyFuncStateless", "EagerPyFunc"), "runs Python code"),
    **dict.fromkeys(("ReadFile", "MatchingFiles", "WholeFileReaderV2"), "reads files"),
    **dict.fromkeys(("FixedLengthRecordReaderV2", "TextLineReaderV2"), "reads files"),
    **dict.fromkeys(("TFRecordReaderV2", "InitializeTableFromTextFileV2"), "reads files"),
    **dict.fromkeys(("WriteFile", "DebugIdentity", "DebugIdentityV2"), "writes files"),
}


class SavedModelReader(Reader):
    """Reads which operations and signatures a saved model has; lists no tensors."""

    @property
    def name(self) -> str:
        """`tensorflow-saved-model`."""
        return "tensorflow-saved-model"

    def recognises(self, head: bytes, source: Source) -> bool:
        """Schema version 1, then a meta graph that begins with its info or its graph."""
        del source
        if not head.startswith(_SCHEMA):
            return False
        length, at = 0, len(_SCHEMA)
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            if at >= len(head):
                return False
            length |= (head[at] & 0x7F) << shift
            at += 1
            if head[at - 1] < 0x80:
                break
        return head[at : at + 1] in (b"\x0a", b"\x12") and length < 1 << 40

    def read(self, source: Source) -> Layout:
        """Count operations and list signatures."""
        graph = _Graph(source)
        graph.read()
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=(),
            storages=(),
            metadata=graph.metadata(),
            notes=graph.notes.listed(),
        )


class _Graph:
    def __init__(self, source: Source) -> None:
        self.notes = Notes()
        self._source = source
        self._wire = Wire(source)
        self._operations: Counter[str] = Counter()
        self._signatures: list[str] = []
        self._tags: list[str] = []
        self._version = ""

    def read(self) -> None:
        """Walk the message.

        Raises:
            MalformedError: it is not a saved model from beginning to end.
            LimitError: it has more fields than any graph.
        """
        for at, item in enumerate(self._wire.fields(self._wire.whole)):
            if at == 0 and item.number == 1:
                continue
            if item.number != 2 or not isinstance(item.value, Span):
                raise MalformedError(
                    f"field {item.number} is none of a saved model",
                    source=self._source.name,
                    offset=item.span.start,
                )
            self._meta_graph(item.value)
        for operation in sorted(_REACHING.keys() & self._operations.keys()):
            self.notes.add(
                f"its graph has the operation {operation} ({self._operations[operation]} times),"
                f" which {_REACHING[operation]} when the model runs"
            )

    def metadata(self) -> dict[str, Scalar]:
        """What was found, flat; the most frequent operations first."""
        found: dict[str, Scalar] = {
            "tensorflow_version": self._version,
            "tags": _listed(self._tags),
            "signatures": _listed(self._signatures),
        }
        for name, count in self._operations.most_common(MAX_METADATA_ITEMS):
            found[printable(f"operations.{name}", MAX_METADATA_KEY_CHARS)] = count
        return found

    def _meta_graph(self, span: Span) -> None:
        for item in self._wire.fields(span):
            match item:
                case (1, Span() as info, *_):
                    self._info(info)
                case (2, Span() as graph, *_):
                    self._nodes_of(graph)
                case (5, Span() as signature, *_):
                    self._signatures += self._texts(signature, 1)

    def _info(self, span: Span) -> None:
        self._tags += self._texts(span, 4)
        self._version = "".join(self._texts(span, 5))

    def _nodes_of(self, graph: Span) -> None:
        for item in self._wire.fields(graph):
            match item:
                case (1, Span() as node, *_):
                    self._operations.update(self._texts(node, 2))
                case (2, Span() as library, *_):
                    self._functions(library)

    def _functions(self, library: Span) -> None:
        for function in self._spans(library, 1):
            for node in self._spans(function, 3):
                self._operations.update(self._texts(node, 2))

    def _spans(self, message: Span, number: int) -> Iterator[Span]:
        for item in self._wire.fields(message):
            if item.number == number and isinstance(item.value, Span):
                yield item.value

    def _texts(self, message: Span, number: int) -> Iterator[str]:
        for span in self._spans(message, number):
            yield printable(self._wire.text(span, _MAX_NAME_BYTES), _MAX_NAME_BYTES)


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_LISTED_VALUES
    return ", ".join(names[:MAX_LISTED_VALUES]) + (f" and {more} more" if more > 0 else "")
