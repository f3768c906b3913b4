"""Readers and assemblers that are imported when a file may be theirs, not before.

Importing all of them takes longer than listing most checkpoints. What stands in the table beside
each is a cheap condition that all its files meet; whether a file is of the format is still said
by the reader itself.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from importlib import import_module

from cairn.domain import Assembly, Layout, Source
from cairn.formats.assembler import Assembler
from cairn.formats.folder import Files
from cairn.formats.reader import Reader

MayBe = Callable[[bytes, Source], bool]
"""Whether a file with this head may be of a format."""


def begins(*prefixes: bytes) -> MayBe:
    """Files that begin with one of these."""
    return lambda head, _: head.startswith(prefixes)


def holds(mark: bytes) -> MayBe:
    """Files with these bytes anywhere in their head."""
    return lambda head, _: mark in head


def holds_at(offset: int, mark: bytes) -> MayBe:
    """Files with these bytes at an offset in their head."""
    return lambda head, _: head.startswith(mark, offset)


def ends(mark: bytes) -> MayBe:
    """Files whose last bytes these are."""
    length = len(mark)
    return lambda _, source: source.read_at(max(0, source.size_bytes - length), length) == mark


def begins_with_torch_magic(head: bytes, _: Source) -> bool:
    """Files that begin with torch's magic number, however it is pickled."""
    from cairn.formats.torch_magic import begins_with_magic

    return begins_with_magic(head)


class DeferredReader(Reader):
    """Stands for the reader at `home`, written `module:Class` below `cairn.formats.readers`."""

    def __init__(self, name: str, home: str, may_be: MayBe) -> None:
        self._name = name
        self._home = home
        self._may_be = may_be

    @property
    def name(self) -> str:
        """The format's stable name."""
        return self._name

    @cached_property
    def real(self) -> Reader:
        """The reader itself, imported when first asked for."""
        module, _, kind = self._home.partition(":")
        found: Reader = getattr(import_module(f"cairn.formats.readers.{module}"), kind)()
        return found

    def recognises(self, head: bytes, source: Source) -> bool:
        """See `Reader.recognises`."""
        return self._may_be(head, source) and self.real.recognises(head, source)

    def read(self, source: Source) -> Layout:
        """See `Reader.read`."""
        return self.real.read(source)


class DeferredAssembler(Assembler):
    """Stands for the assembler at `home`, below `cairn.formats.assemblers`.

    It is imported when a path has one of the `marks` in it.
    """

    def __init__(self, name: str, home: str, *marks: str) -> None:
        self._name = name
        self._home = home
        self._marks = marks

    @property
    def name(self) -> str:
        """The format's stable name."""
        return self._name

    @cached_property
    def real(self) -> Assembler:
        """The assembler itself, imported when first asked for."""
        module, _, kind = self._home.partition(":")
        found: Assembler = getattr(import_module(f"cairn.formats.assemblers.{module}"), kind)()
        return found

    def anchors(self, paths: Iterable[str]) -> Iterable[str]:
        """See `Assembler.anchors`."""
        known = list(paths)
        if any(mark in path for path in known for mark in self._marks):
            return self.real.anchors(known)
        return ()

    def assemble(self, anchor: str, files: Files, layouts: Mapping[str, Layout]) -> Assembly | None:
        """See `Assembler.assemble`."""
        return self.real.assemble(anchor, files, layouts)
