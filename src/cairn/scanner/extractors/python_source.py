"""Python files: code of models that transformers loads, handlers of TorchServe, scripts."""

from re import MULTILINE
from re import compile as pattern
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.scanner.active_markup import python_in
from cairn.scanner.evidence.contents import ActiveText
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.python_notes import note_python
from cairn.scanner.python_source import MAX_SOURCE_BYTES, source_text
from cairn.scanner.trace import Trace

# Python runs such lines of `.pth` files in its folders when it starts.
_STARTUP = pattern(rb"^import[ \t]", MULTILINE)


class PythonExtractor(Extractor):
    """Source by its name: that is what importers go by."""

    version: ClassVar[int] = 5

    @property
    def name(self) -> str:
        """`python`."""
        return "python"

    def claims(self, head: bytes, source: Source) -> bool:
        """Names that end in `.py`, and lines that Python runs in text that is called `.pth`."""
        name = base_name(source)
        startup = name.endswith(".pth") and b"\0" not in head and _STARTUP.search(head)
        return bool(startup) or name.endswith((".py", ".pyw"))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each name once; what does not parse here is searched for words that act."""
        if source.size_bytes > MAX_SOURCE_BYTES:
            raise LimitError(f"Python source of {source.size_bytes} bytes", source=source.name)
        text = source_text(source.read_at(0, source.size_bytes))
        try:
            note_python(text, trace)
        except MalformedError:  # TorchScript's dialect, Python 2, or a Python newer than this one
            for what, at in python_in(text):
                trace.note(ActiveText(trace.at(at), f"source that does not parse, with {what}"))
