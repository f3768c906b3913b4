"""JSON documents: configurations, tokenizers, indexes, and the models Keras describes in them."""

from typing import ClassVar

from cairn.domain import Source
from cairn.formats.strict_json import read_json
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.settings_walk import note_settings
from cairn.scanner.trace import Trace

# Tokenizers with vocabularies of 260,000 tokens take 35 MB.
_MAX_JSON_BYTES = 64 << 20
_NOTEBOOK = ".ipynb"
_MARK = b"\xef\xbb\xbf"
_TEMPLATE = (b"{%", b"{{", b"{#")


class JsonExtractor(Extractor):
    """An object or array, by its first character, and anything that is called JSON."""

    version: ClassVar[int] = 5

    @property
    def name(self) -> str:
        """`json`."""
        return "json"

    def claims(self, head: bytes, source: Source) -> bool:
        """Text that begins as an object does; an array only by its name: prose has brackets too."""
        if base_name(source).endswith(_NOTEBOOK):
            return False  # cells of code, which would look like templates and settings
        start = head.removeprefix(_MARK).lstrip()
        if base_name(source).endswith(".json"):
            return bool(start) and start[:1].isascii() and start[0] >= 0x20
        return start.startswith(b"{") and not start.startswith(_TEMPLATE) and b'"' in head

    def extract(self, source: Source, trace: Trace) -> None:
        """Walk all values; a document that is not strict JSON is malformed."""
        if base_name(source).endswith(".jsonl"):
            return
        trace.spend(source.size_bytes)
        root = read_json(source, _MAX_JSON_BYTES, what="the document", constants=True)
        note_settings(root, trace, file_name=base_name(source))
