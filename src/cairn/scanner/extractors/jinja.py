"""Jinja templates in files of their own, such as `chat_template.jinja`."""

from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_TEMPLATE_CHARS
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.settings_walk import note_template
from cairn.scanner.trace import Trace

_SUFFIXES = (".jinja", ".jinja2", ".j2", ".tmpl", ".template")
_STARTS = (b"{%", b"{{", b"{#")


class JinjaExtractor(Extractor):
    """A template by its name, or by how it begins."""

    version: ClassVar[int] = 5

    @property
    def name(self) -> str:
        """`jinja`."""
        return "jinja"

    def claims(self, head: bytes, source: Source) -> bool:
        """Loaders go by names here; any other text that begins with a tag is one as well."""
        return base_name(source).endswith(_SUFFIXES) or head.lstrip().startswith(_STARTS)

    def extract(self, source: Source, trace: Trace) -> None:
        """Note what the template uses."""
        if source.size_bytes > 4 * MAX_TEMPLATE_CHARS:
            raise LimitError(f"a template of {source.size_bytes} bytes", source=source.name)
        try:
            text = source.read_at(0, source.size_bytes).decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a template is not UTF-8", offset=error.start) from None
        note_template(text, "", trace)
