"""The code of TorchScript archives: which operators it names.

It looks like Python and only TorchScript's own interpreter runs it, so all it can do is what
operators do: `torch.add` is `aten::add`, `ops.quantized.linear` is `quantized::linear`.
Specification: `torch/csrc/jit/serialization/python_print.cpp` and `import_source.cpp` in
https://github.com/pytorch/pytorch.
"""

import re
from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.scanner.evidence.scripts import ScriptOperator
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

# Whole detectors carry some 500 KB.
_MAX_CODE_BYTES = 32 << 20

_PLACE = re.compile(r"(?:\A|/)code/.*\.py\Z", re.DOTALL)
# Of the lite interpreter: a pickle of tuples, with operators as texts `namespace::name`.
_BYTECODE = re.compile(r"(?:\A|/)bytecode\.pkl\Z", re.DOTALL)
_NAMED = re.compile(rb"([A-Za-z_]\w{0,60})::([A-Za-z_]\w{0,200})")
_TORCH = re.compile(r"(?<![\w.])torch\s*\.\s*(\w+)")
_OPERATOR = re.compile(r"(?<![\w.])ops\s*\.\s*(\w+)\s*\.\s*(\w+)")
_SPELLED = re.compile(r"\b(\w+)::(\w+)")
# torch and ops as values of their own, to be called by another name; a call of Python's.
_HANDED_ON = re.compile(
    r"(?:=|\(|,)\s*(torch|ops)\s*(?:$|[,);])|\b(ops\s*\.\s*\w+)\s*$", re.MULTILINE
)
_PYTHON = re.compile(r"(?m)(?:=|^)\s*\^(\w+)")


class ScriptCodeExtractor(Extractor):
    """Files below the folder where TorchScript keeps code, and the lite interpreter's bytecode."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`torchscript-code`."""
        return "torchscript-code"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the name: that is what the loader goes by."""
        del head
        return bool(_PLACE.search(source.name)) or _is_bytecode(source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each operator once, where it is named first."""
        if source.size_bytes > _MAX_CODE_BYTES:
            raise LimitError(f"code of {source.size_bytes} bytes", source=source.name)
        trace.spend(source.size_bytes)
        data = source.read_at(0, source.size_bytes)
        found = _named(data) if _is_bytecode(source) else _operators(data.decode("latin-1"))
        seen: set[str] = set()
        for name, at in found:
            if name not in seen:
                seen.add(name)
                trace.note(ScriptOperator(trace.at(at), name[:300]))


def _is_bytecode(source: Source) -> bool:
    return bool(_BYTECODE.search(source.name))


def _named(data: bytes) -> Iterator[tuple[str, int]]:
    for found in _NAMED.finditer(data):
        yield f"{found[1].decode()}::{found[2].decode()}", found.start()


def _operators(text: str) -> Iterator[tuple[str, int]]:
    for found in _TORCH.finditer(text):
        yield f"aten::{found[1]}", found.start()
    for pattern in (_OPERATOR, _SPELLED):
        for found in pattern.finditer(text):
            yield f"{found[1]}::{found[2]}", found.start()
    for found in _PYTHON.finditer(text):
        yield "prim::PythonOp", found.start()
    for found in _HANDED_ON.finditer(text):
        yield found[1] or found[2], found.start()
