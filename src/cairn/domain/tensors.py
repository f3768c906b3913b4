"""What a checkpoint file holds: tensors, where their bytes lie, and what they are for."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from types import MappingProxyType

from cairn.domain.architectures import Architecture, Scalar
from cairn.errors import MalformedError


class DType(Enum):
    """Element types; the value is (label, elements per block, bytes per block).

    Names follow the safetensors `Dtype` enum
    (https://github.com/huggingface/safetensors, `safetensors/src/tensor.rs`); the complex and
    packed-quantised ones beyond it follow torch's names. Types from `Q4_0` on are those of ggml
    (https://github.com/ggml-org/ggml, `include/ggml.h` and the blocks of `src/ggml-common.h`):
    a block holds the codes of several elements and their shared scales.
    """

    BOOL = ("BOOL", 1, 1)
    F4 = ("F4", 2, 1)
    F6_E2M3 = ("F6_E2M3", 4, 3)
    F6_E3M2 = ("F6_E3M2", 4, 3)
    I4 = ("I4", 2, 1)
    U4 = ("U4", 2, 1)
    I2 = ("I2", 4, 1)
    U2 = ("U2", 4, 1)
    U8 = ("U8", 1, 1)
    I8 = ("I8", 1, 1)
    F8_E5M2 = ("F8_E5M2", 1, 1)
    F8_E4M3 = ("F8_E4M3", 1, 1)
    F8_E5M2FNUZ = ("F8_E5M2FNUZ", 1, 1)
    F8_E4M3FNUZ = ("F8_E4M3FNUZ", 1, 1)
    F8_E8M0 = ("F8_E8M0", 1, 1)
    I16 = ("I16", 1, 2)
    U16 = ("U16", 1, 2)
    F16 = ("F16", 1, 2)
    BF16 = ("BF16", 1, 2)
    I32 = ("I32", 1, 4)
    U32 = ("U32", 1, 4)
    F32 = ("F32", 1, 4)
    C32 = ("C32", 1, 4)
    I64 = ("I64", 1, 8)
    U64 = ("U64", 1, 8)
    F64 = ("F64", 1, 8)
    C64 = ("C64", 1, 8)
    C128 = ("C128", 1, 16)
    QI8 = ("QI8", 1, 1)
    QU8 = ("QU8", 1, 1)
    QI32 = ("QI32", 1, 4)
    QU4X2 = ("QU4X2", 2, 1)
    QU2X4 = ("QU2X4", 4, 1)
    Q4_0 = ("Q4_0", 32, 18)
    Q4_1 = ("Q4_1", 32, 20)
    Q5_0 = ("Q5_0", 32, 22)
    Q5_1 = ("Q5_1", 32, 24)
    Q8_0 = ("Q8_0", 32, 34)
    Q8_1 = ("Q8_1", 32, 36)
    Q2_K = ("Q2_K", 256, 84)
    Q3_K = ("Q3_K", 256, 110)
    Q4_K = ("Q4_K", 256, 144)
    Q5_K = ("Q5_K", 256, 176)
    Q6_K = ("Q6_K", 256, 210)
    Q8_K = ("Q8_K", 256, 292)
    IQ2_XXS = ("IQ2_XXS", 256, 66)
    IQ2_XS = ("IQ2_XS", 256, 74)
    IQ3_XXS = ("IQ3_XXS", 256, 98)
    IQ1_S = ("IQ1_S", 256, 50)
    IQ4_NL = ("IQ4_NL", 32, 18)
    IQ3_S = ("IQ3_S", 256, 110)
    IQ2_S = ("IQ2_S", 256, 82)
    IQ4_XS = ("IQ4_XS", 256, 136)
    IQ1_M = ("IQ1_M", 256, 56)
    TQ1_0 = ("TQ1_0", 256, 54)
    TQ2_0 = ("TQ2_0", 256, 66)
    MXFP4 = ("MXFP4", 32, 17)
    NVFP4 = ("NVFP4", 64, 36)
    Q1_0 = ("Q1_0", 128, 18)

    @property
    def label(self) -> str:
        """The spelling used in files, JSON and tables."""
        return self.value[0]

    @property
    def block_elements(self) -> int:
        """Elements that are encoded together: 1 unless several share a byte or a scale."""
        return self.value[1]

    @property
    def block_bytes(self) -> int:
        """Bytes of one block."""
        return self.value[2]

    @property
    def is_block_quantised(self) -> bool:
        """Whether elements share a scale inside their block (the types of ggml)."""
        return self.block_elements >= _SMALLEST_QUANTISED_BLOCK

    @property
    def bits(self) -> int:
        """Bits per element, rounded down for block-quantised types (`Q4_0` has 4.5)."""
        return 8 * self.block_bytes // self.block_elements

    def size_bytes(self, elements: int) -> int:
        """Bytes that `elements` contiguous elements take, rounded up to whole blocks."""
        return -(-elements // self.block_elements) * self.block_bytes


_SMALLEST_QUANTISED_BLOCK = 32


class Role(Enum):
    """What a tensor, or a file beside tensors, is for in the life of a model."""

    WEIGHTS = "weights"
    BUFFERS = "buffers"
    EMA = "ema"
    OPTIMIZER = "optimizer"
    SCHEDULER = "scheduler"
    SCALER = "scaler"
    RNG = "rng"
    DATA = "data"
    METADATA = "metadata"
    TOKENIZER = "tokenizer"
    CODE = "code"


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
class Piece:
    """A box of a tensor and the bytes that hold it, elements back to back in row-major order.

    `start` and `shape` say where the box lies, one number per axis of the tensor; a single
    number each on a tensor of several axes counts elements of the flattened tensor. A box may
    reach past the tensor's end, as padded chunks do: what lies outside is dropped. `path` names
    the file, relative to the folder of the file that lists the tensor; empty means that file
    itself. `encoding` lists what has to be undone, in order (see `cairn.formats.values`), and
    `skip_bytes` how many plain bytes then stand before the first element.
    """

    span: Span
    start: tuple[int, ...]
    shape: tuple[int, ...]
    path: str = ""
    encoding: tuple[str, ...] = ()
    skip_bytes: int = 0

    def __post_init__(self) -> None:
        if len(self.start) != len(self.shape) or any(n < 0 for n in (*self.start, *self.shape)):
            raise MalformedError(f"a piece at {self.start} of shape {self.shape} is not a box")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One named tensor and where its elements lie.

    `span` covers every byte from the first to the last element touched. `strides`
    counts elements per axis and is None when the tensor is contiguous in row-major
    order, which makes `span` exactly its bytes. A tensor kept in several places, in another
    file or encoded has `pieces` instead and a `span` that means nothing; elements that no
    piece holds are zero. `container` is the first part of the name where that names a dictionary
    of the file, such as `state_dict`, or a pickled module, and not a module of the model.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    span: Span
    role: Role = Role.WEIGHTS
    strides: tuple[int, ...] | None = None
    pieces: tuple[Piece, ...] = ()
    big_endian: bool = False
    container: str = ""

    def __post_init__(self) -> None:
        if any(n < 0 for n in self.shape):
            raise MalformedError(f"tensor {self.name[:200]!r} has a negative axis: {self.shape}")
        if self.pieces:
            self._check_pieces()
        elif self.strides is None:
            want = self.size_bytes
            if self.span.size_bytes != want:
                raise MalformedError(
                    f"tensor {self.name[:200]!r} of shape {self.shape} and dtype"
                    f" {self.dtype.label} needs {want} bytes, its span has {self.span.size_bytes}"
                )
        elif len(self.strides) != len(self.shape):
            raise MalformedError(f"tensor {self.name[:200]!r} has one stride per axis missing")

    def _check_pieces(self) -> None:
        if self.strides is not None:
            raise MalformedError(f"tensor {self.name[:200]!r} has both pieces and strides")
        for piece in self.pieces:
            if len(piece.start) not in (1, len(self.shape)):
                raise MalformedError(
                    f"tensor {self.name[:200]!r} of shape {self.shape} has a piece"
                    f" of {len(piece.start)} axes"
                )
            want = self.dtype.size_bytes(prod(piece.shape))
            if not piece.encoding and piece.span.size_bytes != want + piece.skip_bytes:
                raise MalformedError(
                    f"a piece of tensor {self.name[:200]!r} needs {want} bytes,"
                    f" its span has {piece.span.size_bytes}"
                )

    @property
    def size_bytes(self) -> int:
        """Bytes of the elements when they lie contiguously and plain."""
        return self.dtype.size_bytes(self.elements)

    @property
    def elements(self) -> int:
        """Number of elements (1 for a scalar)."""
        return prod(self.shape)

    @property
    def key(self) -> str:
        """The name inside the container: what `load_state_dict` knows the tensor by."""
        return self.name.removeprefix(f"{self.container}.") if self.container else self.name


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of same-typed elements in a file that one or more tensors look into."""

    span: Span
    dtype: DType


@dataclass(frozen=True, slots=True)
class Layout:
    """The anatomy of one checkpoint file, read from its headers alone.

    `storages` are sorted, disjoint and inside the file; every tensor lies in one.
    `metadata` is flat: dotted keys such as `optimizer.param_groups.0.lr`. `architecture` is
    what the file itself declares, `modules` the class of each module by dotted path (`""` is
    the outermost) where the file names classes. `sections` are the containers with a purpose of
    their own by dotted path (`""` is the whole file), also those without tensors, such as the
    numbers of a gradient scaler.

    Raises:
        MalformedError: the parts contradict each other.
    """

    format: str
    size_bytes: int
    tensors: tuple[TensorInfo, ...]
    storages: tuple[Storage, ...]
    metadata: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    architecture: Architecture | None = None
    modules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    sections: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))

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
            spans = [p.span for p in tensor.pieces if not p.path] or [tensor.span]
            for span in () if tensor.pieces and tensor.pieces[0].path else spans:
                if span.size_bytes and not self._covered(span, starts):
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
