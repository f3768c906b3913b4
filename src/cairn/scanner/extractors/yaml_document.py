"""YAML documents: settings of NeMo, Lightning, Hydra and others, and the tags that make objects."""

from re import compile as pattern
from typing import ClassVar
from urllib.parse import unquote

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_YAML_CHARS
from cairn.scanner.evidence.settings import NamedCode
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.settings_walk import MLFLOW_MODEL, note_settings
from cairn.scanner.trace import Trace

_SUFFIXES = (".yaml", ".yml")
_NAMES = (MLFLOW_MODEL,)
_PYTHON = pattern(r"(?:!!|tag:yaml\.org,2002:|!\w*!)python/([\w/]+:[\w./]*)")
_TAG = pattern(r"!\S*%\S*")
_DIRECTIVE = pattern(r"(?m)^%TAG\s+(\S+)\s+(\S+)")
_DOCUMENTS = pattern(r"(?m)^---(?:\s|$)")


class YamlExtractor(Extractor):
    """A document by its name, or by tags that only YAML for Python has."""

    version: ClassVar[int] = 5

    @property
    def name(self) -> str:
        """`yaml`."""
        return "yaml"

    def claims(self, head: bytes, source: Source) -> bool:
        """Loaders go by names; tags of Python objects count under any."""
        named = _is_named(source)
        head = _with_plain_tags(head.decode("latin-1")).encode("latin-1", "replace")
        return named or b"!!python/" in head or b"2002:python/" in head

    def extract(self, source: Source, trace: Trace) -> None:
        """Note tags, then walk the values as JSON's are; each document by itself."""
        if source.size_bytes > 4 * MAX_YAML_CHARS:
            raise LimitError(f"a YAML document of {source.size_bytes} bytes", source=source.name)
        try:
            text = source.read_at(0, source.size_bytes).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MalformedError("a YAML document is not UTF-8", offset=error.start) from None
        for found in _PYTHON.finditer(_with_plain_tags(text)):
            trace.note(NamedCode(trace.at(found.start()), "YAML tag", found[1][:300]))
        for found in _DIRECTIVE.finditer(text):
            if "python" in found[2]:
                trace.note(NamedCode(trace.at(found.start()), "YAML tag", found[2][:300]))
        if not _is_named(source):
            return
        from cairn.formats.bounded_yaml import load_yaml  # PyYAML takes long to import

        for document in _DOCUMENTS.split(text):
            if document.strip():
                if len(document) > MAX_YAML_CHARS:
                    raise LimitError(f"a YAML document of {len(document)} characters")
                root = load_yaml(document, "the document", tags=True)
                note_settings(root, trace, file_name=base_name(source))


def _is_named(source: Source) -> bool:
    name = base_name(source)
    return name.endswith(_SUFFIXES) or name in _NAMES


def _with_plain_tags(text: str) -> str:
    """The text with its tags as parsers read them: `!!python%2fname` is `!!python/name`."""
    return _TAG.sub(lambda found: unquote(found[0], errors="replace"), text)
