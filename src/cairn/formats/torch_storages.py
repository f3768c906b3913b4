"""The storages of a torch file and the views tensors take of them, checked against the bytes.

A pickle names a storage by a persistent id `("storage", class, key, location, count)`, in files
from before torch 1.6 with a sixth part: None, or `(key, offset, count)` for a storage that shows
a part of another. Source: `torch/serialization.py` of torch 2.13.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cairn.domain import DType, Span, Storage
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_AXES, MAX_INT64
from cairn.formats.pickle_program import Call, Global, PersistentId, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.strided_views import View, take_view
from cairn.formats.torch_types import STORAGE_DTYPES, STORAGE_MODULES, UNTYPED_STORAGES

Where = tuple[Value, Value, Value, Value]
"""The first arguments of every rebuild function: storage, offset, size, strides."""


@dataclass(frozen=True, slots=True)
class _Region:
    """What a persistent id refers to: `span` lies in the storage `whole` of the file.

    `dtype` is None when only the tensor knows it.
    """

    key: str
    span: Span
    dtype: DType | None
    whole: Span


class TorchStorages:
    """The storages of one file by key, and which of them views were taken of."""

    def __init__(self, members: Mapping[str, Span], source: str) -> None:
        self._members = members
        self._source = source
        self._used: dict[str, Storage] = {}

    def used(self) -> tuple[Storage, ...]:
        """The storages that hold bytes and that views were taken of, by place."""
        found = (s for s in self._used.values() if s.span.size_bytes)
        return tuple(sorted(found, key=lambda storage: storage.span))

    def unused(self) -> list[Span]:
        """Where the storages lie that no view was taken of."""
        return [span for key, span in self._members.items() if key not in self._used]

    def view(self, call: Call, where: Where, dtype: DType | None = None) -> View:
        """The view the rebuild call takes; `dtype` where the storage is untyped.

        Raises:
            MalformedError: its parts are of the wrong kind, or it reaches outside the storage.
        """
        storage, offset, size, strides = where
        region = self._region(call, storage)
        shape = self.integers(call, size, "a shape")
        steps = self.integers(call, strides, "strides")
        if len(shape) != len(steps):
            raise self.refusal(call, "a tensor whose shape and strides differ in length")
        if not is_size(offset):
            raise self.refusal(call, "a tensor whose offset is not an integer from 0 to 2**63-1")
        assert isinstance(offset, int)
        kind = dtype or region.dtype or DType.U8
        try:
            view = take_view(kind, shape, steps, offset, region.span)
        except MalformedError as error:
            raise self.refusal(call, f"storage {region.key[:40]!r}: {error.what}") from None
        self._use(region, kind)
        return view

    def _use(self, region: _Region, dtype: DType) -> None:
        known = self._used.get(region.key)
        if known is None or known.span.stop < region.whole.stop:
            self._used[region.key] = Storage(region.whole, known.dtype if known else dtype)

    def _region(self, call: Call, storage: Value) -> _Region:
        """The bytes a persistent id `("storage", class, key, location, count)` refers to."""
        named = _named(storage)
        if named is None:
            raise self.refusal(call, "a tensor without a torch storage")
        kind, key, count, part = named
        item_bytes = _item_bytes(kind)
        if item_bytes is None:
            raise self.refusal(call, f"{kind.full_name[:100]!r} is not a torch storage")
        if not is_size(count):
            raise self.refusal(call, "a storage whose size is not an integer")
        assert isinstance(count, int)
        span = self._members.get(key)
        if span is None:
            raise self.refusal(call, f"storage {key[:40]!r} is not in the file")
        wanted = count * item_bytes
        if wanted > span.size_bytes:
            raise self.refusal(
                call,
                f"storage {key[:40]!r} is declared with {wanted} bytes and has {span.size_bytes}",
            )
        whole = Span(span.start, span.start + wanted)
        shown = whole if part is None else self._part(call, part, whole, item_bytes)
        return _Region(key, shown, STORAGE_DTYPES.get(kind.name), whole)

    def _part(self, call: Call, part: Value, whole: Span, item_bytes: int) -> Span:
        """The part of a storage that `(key, offset, count)` names, as files of old have it."""
        match part:
            case (str(), offset, count) if is_size(offset) and is_size(count):
                assert isinstance(offset, int) and isinstance(count, int)
                start = whole.start + offset * item_bytes
                stop = start + count * item_bytes
                if stop <= whole.stop:
                    return Span(start, stop)
        raise self.refusal(call, "a storage that shows no part of another")

    def integers(self, call: Call, value: Value, what: str) -> tuple[int, ...]:
        """A size or strides: a tuple, list or torch.Size of at most `MAX_AXES` integers."""
        if isinstance(value, Call) and is_torch_size(value) and isinstance(value.args, tuple):
            value = value.args[0] if value.args else ()
        if isinstance(value, (tuple, list)) and len(value) <= MAX_AXES:
            found = tuple(n for n in value if isinstance(n, int) and is_size(n))
            if len(found) == len(value):
                return found
        raise self.refusal(call, f"{what} is not at most {MAX_AXES} integers from 0 to 2**63-1")

    def refusal(self, call: Call, why: str) -> MalformedError:
        """The error for a rebuild call that makes no sense."""
        return MalformedError(why, source=self._source, offset=call.offset)


def item_sizes(references: Iterable[PersistentId]) -> dict[str, int]:
    """Bytes per element of each storage that is referred to, by key; the first reference counts."""
    sizes: dict[str, int] = {}
    for reference in references:
        named = _named(reference)
        item_bytes = _item_bytes(named[0]) if named else None
        if named and item_bytes is not None:
            sizes.setdefault(named[1], item_bytes)
    return sizes


def _named(storage: Value) -> tuple[Global, str, Value, Value] | None:
    """Class, key, count and part of a persistent id that names a storage."""
    match storage:
        case PersistentId(id=("storage", Global() as kind, str(key), _, count, *rest)):
            return kind, key, count, rest[0] if rest else None
    return None


def _item_bytes(kind: Global) -> int | None:
    """Bytes that a storage class counts by, or None if it is none.

    Packed types count bytes here and elements in the tensor.
    """
    if kind.module not in STORAGE_MODULES:
        return None
    if kind.name in UNTYPED_STORAGES:
        return 1
    dtype = STORAGE_DTYPES.get(kind.name)
    return None if dtype is None else max(1, dtype.bits // 8)


def is_size(value: Value) -> bool:
    """Whether a value is an integer from 0 to 2**63-1."""
    return type(value) is int and 0 <= value <= MAX_INT64


def is_torch_size(call: Call) -> bool:
    """Whether a call makes a `torch.Size`."""
    return call_target(call) == "torch.Size"
