"""GGUF files: their keys, the templates among them, their tensors, and what follows these."""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from cairn.domain import Layout, Source
from cairn.errors import LimitError, TrailingBytesError, UntrustedDataError
from cairn.formats import READERS, WindowSource
from cairn.formats.gguf_values import GgufArray, GgufCursor, GgufValue
from cairn.formats.limits import MAX_GGUF_PAIRS, MAX_NAME_CHARS
from cairn.scanner.evidence.base import Broken, Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.header_texts import note_header_text
from cairn.scanner.settings_walk import looks_like_template, note_template
from cairn.scanner.tensor_starts import note_tensor_starts
from cairn.scanner.trace import Trace

_VERSIONS = (2, 3)
_SMALLEST_PAIR_BYTES = 8 + 4 + 1
_MAX_TEXT_BYTES = 4 << 20
# Tokens, their scores and merges, which nothing renders: many look like pieces of templates.
_VOCABULARY = "tokenizer.ggml."
# Elements of an array that are looked into, where they are texts.
_MAX_LISTED = 4096
_ALIGNMENT = "general.alignment"
_DEFAULT_ALIGNMENT = 32
# No file aligns to more than a page of the largest size in use.
_MOST_ALIGNMENT = 64 << 10


class GgufExtractor(Extractor):
    """What begins with the magic."""

    version: ClassVar[int] = 5

    @property
    def name(self) -> str:
        """`gguf`."""
        return "gguf"

    def claims(self, head: bytes, source: Source) -> bool:
        """As the reader says."""
        return READERS.get(self.name).recognises(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """Look into the keys, then lay the tensors out."""
        alignment = _note_keys(source, trace)
        try:
            layout = READERS.get(self.name).read(source)
        except TrailingBytesError as error:
            trace.refuse(error)
            assert error.offset is not None
            name = "bytes after the tensors"
            trace.enter(name, WindowSource(source, error.offset, source.size_bytes, name))
            return
        if alignment > _MOST_ALIGNMENT:
            trace.note(Broken(trace.at(), f"the tensors are aligned to {alignment} bytes"))
        _note_gaps(layout, alignment, trace)
        note_tensor_starts(source, layout.tensors, trace)


def _note_keys(source: Source, trace: Trace) -> int:
    """Look into all texts; the alignment. What breaks off here breaks off the reader, too."""
    alignment = _DEFAULT_ALIGNMENT
    try:
        for key, value in _pairs(source):
            if key == _ALIGNMENT and isinstance(value, int):
                alignment = value
            for name, text in _texts(key, value, trace):
                if "template" not in key:
                    note_header_text(name, text, trace)
                if looks_like_template(text):
                    note_template(text, name, trace)
    except LimitError as error:
        trace.refuse(error)
    except UntrustedDataError:
        return alignment
    return alignment


def _texts(key: str, value: GgufValue, trace: Trace) -> Iterator[tuple[str, str]]:
    """The texts of a value, those of an array by their number: some files list their templates."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, GgufArray) and not key.startswith(_VOCABULARY):
        if "template" in key and value.count > len(value.elements):
            trace.note(Unread(trace.at(pointer=key), f"{value.count} templates in one array"))
        yield from (
            (f"{key}[{n}]", one) for n, one in enumerate(value.elements) if type(one) is str
        )


def _pairs(source: Source) -> Iterator[tuple[str, GgufValue]]:
    order = "<" if int.from_bytes(source.read_at(4, 4), "little") in _VERSIONS else ">"
    cursor = GgufCursor(source, 16, order, max_listed=_MAX_LISTED)
    count = cursor.count("key-value pairs", _SMALLEST_PAIR_BYTES)
    for _ in range(min(count, MAX_GGUF_PAIRS)):
        key = cursor.name("a key", MAX_NAME_CHARS)
        yield key, cursor.value(cursor.number("I"), _MAX_TEXT_BYTES)


def _note_gaps(layout: Layout, alignment: int, trace: Trace) -> None:
    spans = sorted(tensor.span for tensor in layout.tensors)
    for before, after in pairwise(spans):
        gap = after.start - before.stop
        if gap >= alignment:
            trace.note(Broken(trace.at(before.stop), f"{gap} bytes belong to no tensor"))
