"""The storages of a torch archive and the views tensors take of them, checked against the bytes.

A pickle names a storage by a persistent id `("storage", class, key, location, count)`; its
bytes are the archive member `data/<key>`. Source: `torch/serialization.py` of torch 2.13.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cairn.domain import DType, Span, Storage
from cairn.errors import MalformedError
from cairn.formats.limits import MAX_AXES, MAX_INT64
from cairn.formats.pickle_program import Call, Global, PersistentId, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.torch_types import STORAGE_DTYPES, STORAGE_MODULES, UNTYPED_STORAGES

Where = tuple[Value, Value, Value, Value]
"""The first arguments of every rebuild function: storage, offset, size, strides."""


@dataclass(frozen=True, slots=True)
class View:
    """Elements of a storage: `strides` is None when they are contiguous in row-major order."""

    dtype: DType
    shape: tuple[int, ...]
    span: Span
    strides: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Region:
    """A storage in the file; `dtype` is None when only the tensor knows it."""

    key: str
    span: Span
    dtype: DType | None


class TorchStorages:
    """The storages of one archive by key, and which of them views were taken of."""

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
        elements = 1
        for axis in shape:
            elements *= axis
        if elements > MAX_INT64:
            raise self.refusal(call, "a tensor of more than 2**63-1 elements")
        self._use(region, kind)
        if not elements:
            return View(kind, shape, Span(region.span.start, region.span.start), None)
        contiguous = _is_contiguous(shape, steps)
        reach = 1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
        bits = kind.bits
        first, last = offset * bits, (offset + reach) * bits
        if bits < 8 and (first % 8 or not contiguous):
            raise self.refusal(call, f"a view into the middle of packed {kind.label} bytes")
        span = (first // 8, (last + 7) // 8)
        if span[1] > region.span.size_bytes:
            raise self.refusal(
                call,
                f"a tensor reaches to byte {span[1]} of storage {region.key[:40]!r},"
                f" which has {region.span.size_bytes}",
            )
        start = region.span.start
        place = Span(start + span[0], start + span[1])
        return View(kind, shape, place, None if contiguous else steps)

    def _use(self, region: _Region, dtype: DType) -> None:
        known = self._used.get(region.key)
        if known is None or known.span.stop < region.span.stop:
            self._used[region.key] = Storage(region.span, known.dtype if known else dtype)

    def _region(self, call: Call, storage: Value) -> _Region:
        """The bytes a persistent id `("storage", class, key, location, count)` refers to."""
        match storage:
            case PersistentId(id=("storage", Global() as kind, str(key), _, count, *_)):
                pass
            case _:
                raise self.refusal(call, "a tensor without a torch storage")
        if not is_size(count):
            raise self.refusal(call, "a storage whose size is not an integer")
        assert isinstance(count, int)
        dtype = STORAGE_DTYPES.get(kind.name)
        untyped = kind.name in UNTYPED_STORAGES
        if kind.module not in STORAGE_MODULES or (dtype is None and not untyped):
            raise self.refusal(call, f"{kind.full_name[:100]!r} is not a torch storage")
        span = self._members.get(key)
        if span is None:
            raise self.refusal(call, f"storage {key[:40]!r} is not in the archive")
        # Packed types count bytes here and elements in the tensor.
        wanted = count * max(1, dtype.bits // 8) if dtype else count
        if wanted > span.size_bytes:
            raise self.refusal(
                call,
                f"storage {key[:40]!r} is declared with {wanted} bytes and has {span.size_bytes}",
            )
        return _Region(key, Span(span.start, span.start + wanted), dtype)

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


def is_size(value: Value) -> bool:
    """Whether a value is an integer from 0 to 2**63-1."""
    return type(value) is int and 0 <= value <= MAX_INT64


def is_torch_size(call: Call) -> bool:
    """Whether a call makes a `torch.Size`."""
    return call_target(call) == "torch.Size"


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Row-major without gaps; the stride of an axis of one element means nothing."""
    expected = 1
    for axis, stride in zip(reversed(shape), reversed(strides), strict=True):
        if axis != 1 and stride != expected:
            return False
        expected *= axis
    return True
