"""The verb health: statistics of the values of a checkpoint's tensors, and what is wrong with them.

Values are read as a stream on request; listing a checkpoint never does so. A tensor that cannot
be read or whose type does not decode has the reason instead of numbers.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cairn.domain import DType, Role, TensorInfo, TensorStatistics, Trouble
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.workflows.readable import ReadableCheckpoint

LARGE = 65504.0
"""Weights beyond the largest number of half precision: they overflow where models run in it."""

THREADS = 2
"""Tensors measured at once; each takes a few MiB, and a matrix for its spectrum 64 MiB."""

Located = tuple[str, TensorInfo]
Progress = Callable[[int], None]

_TRAINED = frozenset((Role.WEIGHTS, Role.EMA))


@dataclass(frozen=True, slots=True)
class TensorHealth:
    """The statistics of one tensor, or the reason why there are none, and what stands out."""

    path: str
    tensor: TensorInfo
    statistics: TensorStatistics | None
    not_read: str = ""
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """How many tensors were measured, how many not, and how many have which trouble."""

    measured: int
    not_read: int
    troubles: dict[Trouble, int]


def measure_tensors(
    readable: ReadableCheckpoint,
    tensors: Iterable[Located],
    *,
    progress: Progress | None = None,
    threads: int = THREADS,
    max_rank_side: int | None = None,
) -> Iterator[TensorHealth]:
    """Measure tensors, several at once, and give them in the order they were asked for.

    `progress` gets the count of bytes newly looked at, from any thread. The spectrum is computed
    of matrices whose shorter side is at most `max_rank_side` (None: those where it is quick).
    """
    # Imported here: who only lists checkpoints needs no compiler.
    from cairn.analysis.spectrum import QUICK_SIDE

    side = QUICK_SIDE if max_rank_side is None else max_rank_side
    waiting: deque[Future[TensorHealth]] = deque()
    left = readable.max_value_bytes
    with ThreadPoolExecutor(threads, thread_name_prefix="cairn-health") as pool:
        try:
            for path, tensor in tensors:
                left -= tensor.size_bytes
                work = _measured if left >= 0 else _left_out
                waiting.append(pool.submit(work, readable, path, tensor, progress, side))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def summarise(measured: Iterable[TensorHealth]) -> HealthSummary:
    """Counts over tensors."""
    troubles: Counter[Trouble] = Counter()
    read = unread = 0
    for health in measured:
        read += health.statistics is not None
        unread += health.statistics is None
        troubles.update(health.troubles)
    return HealthSummary(read, unread, {kind: troubles[kind] for kind in Trouble if troubles[kind]})


def troubles_of(tensor: TensorInfo, statistics: TensorStatistics) -> tuple[Trouble, ...]:
    """What stands out; a remark, no verdict: masks are infinite and fresh biases zero by design.

    Zeros, constants and dead rows are told of weights only: optimizer state and counters begin
    that way. A single value is no constant.
    """
    found = []
    if statistics.nans:
        found.append(Trouble.NAN)
    if statistics.infinities:
        found.append(Trouble.INFINITE)
    if tensor.role not in _TRAINED or not _has_exponent(tensor.dtype):
        return tuple(found)
    if statistics.is_all_zero:
        found.append(Trouble.ALL_ZERO)
    elif statistics.is_constant:
        found.append(Trouble.CONSTANT)
    elif statistics.dead_rows:
        found.append(Trouble.DEAD_ROWS)
    if statistics.abs_max is not None and statistics.abs_max > LARGE:
        found.append(Trouble.LARGE)
    return tuple(found)


def trouble_text(trouble: Trouble, found: TensorStatistics) -> str:
    """What stands out, in words, with its count."""
    match trouble:
        case Trouble.NAN:
            return f"{found.nans:,} of {found.count:,} values are NaN"
        case Trouble.INFINITE:
            return f"{found.infinities:,} of {found.count:,} values are infinite"
        case Trouble.DEAD_ROWS:
            return f"{found.dead_rows:,} of {found.rows:,} rows are all zero"
        case Trouble.CONSTANT:
            return f"every value is {found.minimum:.4g}"
        case Trouble.LARGE:
            return f"values as large as {found.abs_max:.4g}"
        case _:
            return str(trouble.value)


def _has_exponent(dtype: DType) -> bool:
    from cairn.analysis.floats import is_floating

    return is_floating(dtype)


def _measured(
    readable: ReadableCheckpoint,
    path: str,
    tensor: TensorInfo,
    progress: Progress | None,
    max_rank_side: int,
) -> TensorHealth:
    from cairn.analysis.floats import is_decodable
    from cairn.analysis.statistics import BLOCK_BYTES, measure

    if not is_decodable(tensor.dtype):
        return TensorHealth(path, tensor, None, f"{tensor.dtype.label} values are not decoded")
    blocks = readable.blocks(path, tensor, BLOCK_BYTES)
    try:
        found = measure(tensor, _watched(blocks, progress), max_rank_side)
    except (UntrustedDataError, IntegrityError, BlobNotFoundError) as error:
        return TensorHealth(path, tensor, None, str(error))
    return TensorHealth(path, tensor, found, troubles=troubles_of(tensor, found))


def _left_out(
    _: ReadableCheckpoint, path: str, tensor: TensorInfo, __: Progress | None, ___: int
) -> TensorHealth:
    return TensorHealth(path, tensor, None, "values of far more bytes than the files have")


def _watched(blocks: Iterable[memoryview], progress: Progress | None) -> Iterator[memoryview]:
    for block in blocks:
        yield block
        if progress is not None:
            progress(block.nbytes)
