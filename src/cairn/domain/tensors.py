"""What a checkpoint file holds: tensors, where their bytes lie, and what they are for."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from types import MappingProxyType

from cairn.errors import MalformedError

Scalar = str | int | float | bool | None


class DType(Enum):
    """Element types, by their safetensors spelling; the value is bits per element.

    Names follow the safetensors `Dtype` enum
    (https://github.com/huggingface/safetensors, `safetensors/src/tensor.rs`);
    the complex and packed-quantised ones beyond it follow torch's names.
    """

    BOOL = ("BOOL", 8)
    F4 = ("F4", 4)
    F6_E2M3 = ("F6_E2M3", 6)
    F6_E3M2 = ("F6_E3M2", 6)
    U8 = ("U8", 8)
    I8 = ("I8", 8)
    F8_E5M2 = ("F8_E5M2", 8)
    F8_E4M3 = ("F8_E4M3", 8)
    F8_E5M2FNUZ = ("F8_E5M2FNUZ", 8)
    F8_E4M3FNUZ = ("F8_E4M3FNUZ", 8)
    F8_E8M0 = ("F8_E8M0", 8)
    I16 = ("I16", 16)
    U16 = ("U16", 16)
    F16 = ("F16", 16)
    BF16 = ("BF16", 16)
    I32 = ("I32", 32)
    U32 = ("U32", 32)
    F32 = ("F32", 32)
    C32 = ("C32", 32)
    I64 = ("I64", 64)
    U64 = ("U64", 64)
    F64 = ("F64", 64)
    C64 = ("C64", 64)
    C128 = ("C128", 128)
    QI8 = ("QI8", 8)
    QU8 = ("QU8", 8)
    QI32 = ("QI32", 32)
    QU4X2 = ("QU4X2", 4)
    QU2X4 = ("QU2X4", 2)

    @property
    def label(self) -> str:
        """The spelling used in files, JSON and tables."""
        return self.value[0]

    @property
    def bits(self) -> int:
        """Bits per element."""
        return self.value[1]

    def size_bytes(self, elements: int) -> int:
        """Bytes that `elements` contiguous elements take, rounded up to whole bytes."""
        return (elements * self.bits + 7) // 8


class Role(Enum):
    """What a tensor is for in the life of a model."""

    WEIGHTS = "weights"
    OPTIMIZER = "optimizer"
    SCHEDULER = "scheduler"
    RNG = "rng"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A run of bytes in a file: `start` inclusive, `stop` exclusive."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise MalformedError(f"byte span {self.start}..{self.stop} is not ordered")

    @property
    def size_bytes(self) -> int:
        """Bytes covered."""
        return self.stop - self.start

    def contains(self, other: "Span") -> bool:
        """Whether `other` lies inside."""
        return self.start <= other.start and other.stop <= self.stop


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One named tensor and where its elements lie in its file.

    `span` covers every byte from the first to the last element touched. `strides`
    counts elements per axis and is None when the tensor is contiguous in row-major
    order, which makes `span` exactly its bytes.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    span: Span
    role: Role = Role.WEIGHTS
    strides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if any(n < 0 for n in self.shape):
            raise MalformedError(f"tensor {self.name[:200]!r} has a negative axis: {self.shape}")
        if self.strides is None:
            want = self.dtype.size_bytes(self.elements)
            if self.span.size_bytes != want:
                raise MalformedError(
                    f"tensor {self.name[:200]!r} of shape {self.shape} and dtype"
                    f" {self.dtype.label} needs {want} bytes, its span has {self.span.size_bytes}"
                )
        elif len(self.strides) != len(self.shape):
            raise MalformedError(f"tensor {self.name[:200]!r} has one stride per axis missing")

    @property
    def elements(self) -> int:
        """Number of elements (1 for a scalar)."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of same-typed elements in a file that one or more tensors look into."""

    span: Span
    dtype: DType


@dataclass(frozen=True, slots=True)
class Layout:
    """The anatomy of one checkpoint file, read from its headers alone.

    `storages` are sorted, disjoint and inside the file; every tensor lies in one.
    `metadata` is flat: dotted keys such as `optimizer.param_groups.0.lr`.

    Raises:
        MalformedError: the parts contradict each other.
    """

    format: str
    size_bytes: int
    tensors: tuple[TensorInfo, ...]
    storages: tuple[Storage, ...]
    metadata: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        end = 0
        for storage in self.storages:
            if storage.span.start < end:
                raise MalformedError(f"storages overlap at byte {storage.span.start}")
            end = storage.span.stop
        if end > self.size_bytes:
            raise MalformedError(f"a storage ends at {end}, after the file ({self.size_bytes})")
        starts = [s.span.start for s in self.storages]
        for tensor in self.tensors:
            if tensor.span.size_bytes and not self._covered(tensor.span, starts):
                raise MalformedError(f"tensor {tensor.name[:200]!r} lies outside every storage")

    def _covered(self, span: Span, starts: list[int]) -> bool:
        at = bisect_right(starts, span.start) - 1
        return at >= 0 and self.storages[at].span.contains(span)

    def parameters_by_dtype(self, role: Role = Role.WEIGHTS) -> dict[DType, int]:
        """Element counts of the tensors with this role, by dtype."""
        counts: Counter[DType] = Counter()
        for tensor in self.tensors:
            if tensor.role is role:
                counts[tensor.dtype] += tensor.elements
        return dict(counts)

    def roles(self) -> dict[Role, int]:
        """Tensor counts by role."""
        return dict(Counter(tensor.role for tensor in self.tensors))
