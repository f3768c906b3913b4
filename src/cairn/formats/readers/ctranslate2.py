"""CTranslate2's `model.bin`: the name of a specification, then variables one after the other.

All numbers little-endian; a string is u16 length with its final NUL, then the bytes:

    u32                  version of the file: 2 to 6
    string, u32          name of the specification (`WhisperSpec`), its revision
    u32                  number of variables, each:
      string, u8, u32*   name, number of axes, axes
      u8, u32, bytes     type and bytes of data; before version 4 bytes per element and elements
    u32                  since version 3: number of aliases, each two strings: alias, variable

Source: `_serialize` in
https://github.com/OpenNMT/CTranslate2/blob/master/python/ctranslate2/specs/model_spec.py and
`Model::load` in https://github.com/OpenNMT/CTranslate2/blob/master/src/models/model.cc.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from cairn.domain import (
    Architecture,
    DType,
    Layout,
    Role,
    Scalar,
    Source,
    Span,
    Storage,
    TensorInfo,
)
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_AXES, MAX_NAME_CHARS, MAX_TENSORS
from cairn.formats.naming import is_deceptive
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.sources import read_exactly

_OLDEST, _NEWEST = 2, 6
_TYPED = 4  # the version from which on the type is written, not its width
_ALIASED = 3
# enum class DataType in include/ctranslate2/types.h
_TYPES = (DType.F32, DType.I8, DType.I16, DType.I32, DType.F16, DType.BF16)
_WIDTHS = {4: DType.F32, 2: DType.I16, 1: DType.I8}
_SPEC = b"Spec\0"


class CTranslate2Reader(Reader):
    """Reads models converted for CTranslate2, such as those of faster-whisper."""

    @property
    def name(self) -> str:
        """`ctranslate2`."""
        return "ctranslate2"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A small version number, then a string that ends with `Spec`."""
        del source
        end = 6 + int.from_bytes(head[4:6], "little")
        version = int.from_bytes(head[:4], "little")
        return _OLDEST <= version <= 2 * _NEWEST and head[:end].endswith(_SPEC) and end <= len(head)

    def read(self, source: Source) -> Layout:
        """Lay the file out by walking from variable to variable."""
        walk = _Walk(source)
        version = walk.number(4, "the version")
        if version > _NEWEST:
            raise MalformedError(f"version {version} is newer than {_NEWEST}", source=source.name)
        spec = walk.string("the name of the specification")
        revision = walk.number(4, "the revision")
        tensors = list(_variables(walk, version))
        storages = tuple(Storage(t.span, t.dtype) for t in tensors if t.span.size_bytes)
        aliases = _aliases(walk, tensors) if version >= _ALIASED else []
        if walk.at != source.size_bytes:
            raise MalformedError("bytes follow the aliases", source=source.name, offset=walk.at)
        metadata: dict[str, Scalar] = {"spec": spec, "revision": revision, "version": version}
        notes = Notes()
        if aliases:
            notes.add(f"{len(aliases)} names are aliases of other variables")
        if any(is_deceptive(tensor.name) for tensor in (*tensors, *aliases)):
            notes.add("tensor names contain control or invisible characters")
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=(*tensors, *aliases),
            storages=storages,
            metadata=metadata,
            notes=notes.listed(),
            architecture=Architecture(
                spec.removesuffix("Spec").lower(), spec, "model.bin: the name of its specification"
            ),
        )


class _Walk:
    """A place in the file that moves on with what is read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.at = 0

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.bytes(size, what), "little")

    def bytes(self, size: int, what: str) -> bytes:
        data = read_exactly(self.source, self.at, size, what)
        self.at += size
        return data

    def string(self, what: str) -> str:
        """A string; the cap on names bounds it."""
        size = self.number(2, what)
        if size > MAX_NAME_CHARS:
            raise LimitError(f"{what} of {size} bytes", source=self.source.name, offset=self.at)
        data = self.bytes(size, what)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = ""
        if not text.endswith("\0") or "\0" in text[:-1] or len(text) < 2:
            raise self.refusal(f"{what} is not text that ends with NUL")
        return text[:-1]

    def refusal(self, why: str) -> MalformedError:
        return MalformedError(why, source=self.source.name, offset=self.at)


def _variables(walk: _Walk, version: int) -> Iterator[TensorInfo]:
    count = walk.number(4, "the number of variables")
    if count > MAX_TENSORS:
        raise LimitError(f"more than {MAX_TENSORS} variables", source=walk.source.name)
    seen: set[str] = set()
    for _ in range(count):
        name = walk.string("the name of a variable")
        if name in seen:
            raise walk.refusal(f"two variables are called {name[:200]!r}")
        seen.add(name)
        axes = walk.number(1, "a number of axes")
        if axes > MAX_AXES:
            raise LimitError(f"{axes} axes", source=walk.source.name, offset=walk.at)
        raw = walk.bytes(4 * axes + 5, "a variable")
        numbers = [int.from_bytes(raw[4 * n : 4 * n + 4], "little") for n in range(axes)]
        yield _variable(walk, name, tuple(numbers), raw[4 * axes :], version)


def _variable(
    walk: _Walk, name: str, shape: tuple[int, ...], tail: bytes, version: int
) -> TensorInfo:
    """One variable whose data begin here; `tail` is its type and the number after that."""
    kind, size = tail[0], int.from_bytes(tail[1:], "little")
    if version >= _TYPED:
        dtype = _TYPES[kind] if kind < len(_TYPES) else None
    else:
        dtype, size = _WIDTHS.get(kind), size * kind
    if dtype is None:
        raise walk.refusal(f"variable {name[:200]!r} has the unknown type {kind}")
    if size != dtype.size_bytes(prod(shape)):
        raise walk.refusal(f"variable {name[:200]!r} of shape {shape} has {size} bytes")
    if walk.at + size > walk.source.size_bytes:
        raise walk.refusal(f"variable {name[:200]!r} reaches past the end of the file")
    span = Span(walk.at, walk.at + size)
    walk.at = span.stop
    # Numbers without axes are settings, such as the count of heads.
    role = Role.WEIGHTS if shape else Role.METADATA
    return TensorInfo(name, dtype, shape, span, role)


def _aliases(walk: _Walk, tensors: list[TensorInfo]) -> list[TensorInfo]:
    """Second names of variables; a scale belonging to one is aliased with it."""
    count = walk.number(4, "the number of aliases")
    if count > MAX_TENSORS:
        raise LimitError(f"more than {MAX_TENSORS} aliases", source=walk.source.name)
    known = {tensor.name: tensor for tensor in tensors}
    found: dict[str, TensorInfo] = {}
    for _ in range(count):
        alias, name = walk.string("an alias"), walk.string("the name of a variable")
        if name not in known:
            raise walk.refusal(f"the alias {alias[:200]!r} is of {name[:200]!r}, which is missing")
        if alias in known or alias in found:
            raise walk.refusal(f"two variables are called {alias[:200]!r}")
        found[alias] = replace(known[name], name=alias)
        scale = known.get(f"{name}_scale")
        if scale is not None and f"{alias}_scale" not in known:
            found.setdefault(f"{alias}_scale", replace(scale, name=f"{alias}_scale"))
    return list(found.values())
