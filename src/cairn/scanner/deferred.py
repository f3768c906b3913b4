"""Extractors that are imported when content may be of their form, not before.

Importing all of them takes longer than taking most files apart. What stands in the table beside
each is a cheap condition that all its content meets; whether content is of the form is still said
by the extractor itself.
"""

from collections.abc import Callable
from functools import cached_property
from importlib import import_module

from cairn.domain import Source
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

MayBe = Callable[[bytes, str], bool]
"""Whether content with this head and this base name may be of a form."""

_MARK = b"\xef\xbb\xbf"


def never(head: bytes, name: str) -> bool:
    """No content."""
    del head, name
    return False


def named_with(part: str) -> MayBe:
    """Content with this anywhere in its base name."""
    return lambda _, name: part in name


def holds(*marks: bytes) -> MayBe:
    """Content with all of these anywhere in its head."""
    return lambda head, _: all(mark in head for mark in marks)


def has_at(offset: int, mark: bytes) -> MayBe:
    """Content with these bytes at an offset."""
    return lambda head, _: head.startswith(mark, offset)


def opens_with_a_brace(head: bytes, name: str) -> bool:
    """Content whose first byte that is no white space, nor of a mark of UTF-8, is a brace."""
    del name
    return head.removeprefix(_MARK).lstrip().startswith(b"{")


def may_have_python_tags(head: bytes, name: str) -> bool:
    """Content that names `python/` in a tag, maybe spelled with escapes."""
    del name
    return b"python/" in head or (b"!" in head and b"%" in head)


def real(extractor: Extractor) -> Extractor:
    """The extractor itself, where another one stands for it."""
    return extractor.real if isinstance(extractor, DeferredExtractor) else extractor


class DeferredExtractor(Extractor):
    """Stands for the extractor at `home`, `module:Class` below `cairn.scanner.extractors`."""

    def __init__(
        self,
        name: str,
        home: str,
        *,
        begins: tuple[bytes, ...] = (),
        called: tuple[str, ...] = (),
        else_if: MayBe = never,
    ) -> None:
        """All its content begins with one of `begins`, or has a base name in lower case that ends
        in one of `called`, or meets `else_if`.
        """
        self._name = name
        self._home = home
        self._begins = begins
        self._called = called
        self._else_if = else_if

    @property
    def name(self) -> str:
        """See `Extractor.name`."""
        return self._name

    @cached_property
    def real(self) -> Extractor:
        """The extractor itself, imported when first asked for."""
        module, _, kind = self._home.partition(":")
        found: Extractor = getattr(import_module(f"cairn.scanner.extractors.{module}"), kind)()
        return found

    def claims(self, head: bytes, source: Source) -> bool:
        """See `Extractor.claims`."""
        name = base_name(source)
        may_be = (
            head.startswith(self._begins)
            or name.endswith(self._called)
            or (self._else_if is not never and self._else_if(head, name))
        )
        return may_be and self.real.claims(head, source)

    def extract(self, source: Source, trace: Trace) -> None:
        """See `Extractor.extract`."""
        self.real.extract(source, trace)
