"""Python files: code of models that transformers loads, handlers of TorchServe, scripts."""

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.scanner.evidence.settings import PythonCall
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.python_source import MAX_SOURCE_BYTES, calls_in
from cairn.scanner.trace import Trace


class PythonExtractor(Extractor):
    """Source by its name: that is what importers go by."""

    @property
    def name(self) -> str:
        """`python`."""
        return "python"

    def claims(self, head: bytes, source: Source) -> bool:
        """Names that end in `.py`."""
        del head
        return base_name(source).endswith((".py", ".pyw"))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note each call once; what does not parse would not run either and is only text."""
        if source.size_bytes > MAX_SOURCE_BYTES:
            raise LimitError(f"Python source of {source.size_bytes} bytes", source=source.name)
        text = source.read_at(0, source.size_bytes).decode("utf-8", "replace")
        seen: set[tuple[str, bool]] = set()
        try:
            for name, at_import, line in calls_in(text):
                if (name, at_import) not in seen:
                    seen.add((name, at_import))
                    place = trace.at(pointer=f"line {line}")
                    trace.note(PythonCall(place, name[:300], at_import))
        except MalformedError:
            return  # TorchScript's dialect, templates of code, Python 2
