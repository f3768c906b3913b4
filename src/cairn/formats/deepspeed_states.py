"""What DeepSpeed's state files say about the flat vectors in them: shapes, groups, ranks.

    *_model_states.pt   param_shapes           per parameter group: name -> torch.Size, in order
                        frozen_param_shapes    name -> torch.Size
                        shared_params          name -> name of the parameter it is the same as
                        buffer_names           names in `module` that are buffers
    *_optim_states.pt   optimizer_state_dict   zero_stage, partition_count (a number, or one per
                                               group), param_alignment_paddings (per group)

Source: https://github.com/deepspeedai/DeepSpeed/blob/master/deepspeed/utils/zero_to_fp32.py and
`deepspeed/runtime/engine.py` (`_save_checkpoint`), release 0.19.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_INT64, MAX_NAME_CHARS, MAX_TENSORS
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Call, Value
from cairn.formats.pickled_objects import entries, named, sequence, sizes
from cairn.formats.torch_archive import TorchArchive
from cairn.formats.torch_storages import is_size

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ModelStates:
    """The parameters in the order in which they lie in the flat vectors, by group."""

    groups: tuple[Shapes, ...]
    frozen: Shapes
    shared: Mapping[str, str]
    buffers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How flat vectors are split: over `ranks` files; `paddings` follow parameters, by group."""

    stage: int
    ranks: int
    paddings: tuple[tuple[int, ...], ...]


def read_model_states(source: Source) -> ModelStates:
    """Parse a model states file.

    Raises:
        MalformedError: it is not one of a ZeRO checkpoint.
        LimitError: more names than `MAX_TENSORS`.
    """
    state = named(TorchArchive(source, Notes()).value)
    shapes = state.get("param_shapes")
    if shapes is None:
        raise MalformedError("no param_shapes: not of a ZeRO checkpoint", source=source.name)
    parsing = _Parsing(source.name)
    groups = shapes if isinstance(shapes, (list, tuple)) else (shapes,)
    return ModelStates(
        groups=tuple(parsing.shapes(group) for group in groups),
        frozen=parsing.shapes(state.get("frozen_param_shapes")),
        shared={k: v for k, v in named(state.get("shared_params")).items() if isinstance(v, str)},
        buffers=frozenset(
            name for name in sequence(state.get("buffer_names")) if isinstance(name, str)
        ),
    )


def read_partitioning(source: Source) -> Partitioning:
    """Parse the optimizer states file of one rank.

    Raises:
        MalformedError: it is not one of a ZeRO checkpoint, or groups are split differently.
    """
    state = named(named(TorchArchive(source, Notes()).value).get("optimizer_state_dict"))
    stage = _number(state.get("zero_stage", 1))
    counts = state.get("partition_count")
    ranks = {_number(count) for count in (sequence(counts) or (counts,))}
    if stage is None or not 1 <= stage <= 3 or None in ranks:
        raise MalformedError("not the optimizer states of a ZeRO checkpoint", source=source.name)
    if len(ranks) != 1:
        raise MalformedError(
            "parameter groups are split over different numbers of ranks",
            source=source.name,
            hint="Mixtures of experts are listed by rank, not put together",
        )
    paddings = tuple(
        tuple(n for n in sequence(group) if isinstance(n, int) and is_size(n))
        for group in sequence(state.get("param_alignment_paddings"))[:MAX_NAME_CHARS]
    )
    return Partitioning(stage, ranks.pop() or 0, paddings)


class _Parsing:
    """Counts what it looks at, so that a dictionary that many places share is no bomb."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MAX_TENSORS

    def shapes(self, value: Value) -> Shapes:
        self._left -= 1
        found: dict[str, tuple[int, ...]] = {}
        for name, size in entries(value):
            self._left -= 1
            if self._left < 0:
                raise LimitError(f"more than {MAX_TENSORS} parameters", source=self._source)
            shape = sizes(size)
            if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or shape is None:
                raise MalformedError("a parameter without name or shape", source=self._source)
            if prod(shape) > MAX_INT64:
                raise MalformedError(
                    f"{name[:200]!r} has more than 2**63-1 elements", source=self._source
                )
            found[name] = shape
        return found


def _number(value: Value) -> int | None:
    """A number, or the member of an enum made from one."""
    match value:
        case Call(args=(int() as number,)):
            value = number
    return value if isinstance(value, int) and is_size(value) else None
