"""Graphs written as text: TensorFlow loads `saved_model.pbtxt` as it does `saved_model.pb`.

Text format: https://protobuf.dev/reference/protobuf/textformat-spec/. Strings may be split, in
either quotes, and spelled with escapes.
"""

from codecs import escape_decode
from re import DOTALL
from re import compile as pattern
from typing import Any

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.scanner.evidence.graphs import GraphOperation
from cairn.scanner.evidence.settings import NamedCode
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

_SUFFIXES = (".pbtxt", ".pbtext", ".prototxt", ".textproto", ".txtpb")
_MAX_TEXT_BYTES = 64 << 20

_STRING = r"(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
_OPERATION = pattern(rf"\bop\s*:\s*({_STRING}(?:\s*{_STRING})*)", DOTALL)
_FUNCTION = pattern(rf"\bsignature\s*:?\s*[{{<]\s*name\s*:\s*({_STRING})", DOTALL)
_ONE = pattern(_STRING, DOTALL)
# Caffe's layers in Python: `type: "Python" python_param { module: "m" layer: "L" }`.
_PYTHON_LAYER = pattern(rf"\bpython_param\s*:?\s*[{{<]\s*module\s*:\s*({_STRING})", DOTALL)
_NODE = pattern(rb"\b(?:node|node_def)\s*:?\s*[{<]")


class GraphTextExtractor(Extractor):
    """Text whose name or beginning says that it is a graph."""

    @property
    def name(self) -> str:
        """`graph-text`."""
        return "graph-text"

    def claims(self, head: bytes, source: Source) -> bool:
        """Loaders go by the name; nodes in braces count under any."""
        if b"\0" in head:
            return False
        return base_name(source).endswith(_SUFFIXES) or bool(_NODE.search(head))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each operation once, as those of a binary graph."""
        if source.size_bytes > _MAX_TEXT_BYTES:
            raise LimitError(f"a graph of {source.size_bytes} bytes of text", source=source.name)
        trace.spend(source.size_bytes)
        text = source.read_at(0, source.size_bytes).decode("latin-1")
        functions = {_value(found[1]) for found in _FUNCTION.finditer(text)}
        seen: set[str] = set()
        for found in _OPERATION.finditer(text):
            name = _value(found[1])
            if name and name not in seen:
                seen.add(name)
                place = trace.at(found.start())
                trace.note(GraphOperation(place, "tensorflow", "", name[:300], name in functions))
        for found in _PYTHON_LAYER.finditer(text):
            place = trace.at(found.start())
            trace.note(NamedCode(place, "Caffe layer in Python", _value(found[1])[:300]))


def _value(written: str) -> str:
    """What a string, or several in a row, stand for."""
    return "".join(_unescaped(found[0][1:-1]) for found in _ONE.finditer(written))


def _unescaped(text: str) -> str:
    try:
        raw: Any = escape_decode(text.encode("latin-1", "replace"))[0]
    except ValueError:  # an escape that ends early, which no parser takes
        return text
    return str(raw, "utf-8", "replace")
