"""How much memory training takes at its fullest moment, by part."""

from dataclasses import dataclass, fields
from enum import Enum
from math import prod

from cairn.estimation.plan import Method, Optimizer, Plan, Sharding
from cairn.estimation.subject import Shape
from cairn.estimation.walking import Walker

# A 4-bit code each, and a float32 scale for 64 of them, as bitsandbytes keeps NF4:
# arXiv 2305.14314, section 3; scales that are quantised again (0.127 bits) are not its default.
NF4_BYTES = 0.5 + 4 / 64
# 8-bit Adam: two codes of a byte, and a float32 scale for 256 of each (arXiv 2110.02861).
ADAM_8BIT_BYTES = 2 * (1 + 4 / 256)
# CUDA's context and the kernels' code. An assumption: it depends on driver and libraries.
DEVICE_OVERHEAD_BYTES = 600_000_000
_GATHERED_BLOCKS = 2  # FSDP fetches the next block while one is computed


class Moment(Enum):
    """When memory is fullest."""

    BACKWARD = "as the backward pass begins"
    STEP = "as the optimizer steps"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device at the fullest moment; `moment` says which that is."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    workspace: float
    overhead: float
    moment: Moment

    @property
    def parts(self) -> dict[str, float]:
        """Bytes by part."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "moment"}

    @property
    def tensors(self) -> float:
        """Bytes of tensors: without the framework's own."""
        return sum(self.parts.values()) - self.overhead

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Trained:
    """Parameters in all, those trained, and the shapes of these."""

    parameters: int
    shapes: tuple[Shape, ...]

    @property
    def count(self) -> int:
        """Trained parameters."""
        return sum(prod(shape) for shape in self.shapes)


def trained(walker: Walker, plan: Plan) -> Trained:
    """What of the model is trained under a plan."""
    shapes: list[Shape]
    if plan.method is Method.FULL:
        shapes = [shape for _, shape in walker.parameter_shapes]
    elif plan.method is Method.LAST_LAYER:
        shapes = [shape for _, shape in walker.subject.head_shapes()]
    else:
        targets = walker.targets(plan)
        shapes = [
            made
            for name, shape in walker.parameter_shapes
            if len(shape) > 1 and _is_target(name, targets)
            for made in _adapter(shape, plan.rank)
        ]
    return Trained(sum(prod(s) for _, s in walker.parameter_shapes), tuple(shapes))


def memory(walker: Walker, plan: Plan) -> Memory:
    """The fullest moment of a step, in bytes on one device.

    Two moments compete: the backward pass begins with all activations and no gradients (or, when
    gradients are gathered over several batches, with all), and the step has all gradients and no
    activations. The larger one is it.

    Raises:
        RequestError: there is no closed form for this model.
    """
    tape = walker.tape(plan)
    found = trained(walker, plan)
    over = _divisors(plan)
    weights = _weights(walker, plan, found) / over[2]
    gradients = found.count * plan.trained_bytes / over[1]
    optimizer = _optimizer(plan, found.shapes) / over[0]
    workspace = tape.passing_bytes + tape.recomputed_bytes
    if plan.method is Method.QLORA:
        workspace += plan.narrow * max(walker.matrices, default=0)
    if over[2] > 1:
        workspace += _GATHERED_BLOCKS * plan.frozen_bytes * _block_elements(walker)
    held = gradients if plan.accumulation > 1 else 0.0
    # The gradients of logits are gone before blocks are computed again or passed through.
    backward = held + tape.kept_bytes + max(tape.logits_bytes, workspace)
    step_workspace = _step_workspace(walker, plan, found.shapes)
    overhead = 0.0 if plan.on_cpu else float(DEVICE_OVERHEAD_BYTES)
    if backward >= gradients + step_workspace:
        is_logits = tape.logits_bytes >= workspace
        return Memory(
            *(weights, held, optimizer, tape.kept_bytes),
            *(tape.logits_bytes if is_logits else 0.0, 0.0 if is_logits else workspace),
            *(overhead, Moment.BACKWARD),
        )
    return Memory(weights, gradients, optimizer, 0.0, 0.0, step_workspace, overhead, Moment.STEP)


def _divisors(plan: Plan) -> tuple[int, int, int]:
    """By how many devices optimizer, gradients and weights are divided."""
    stage = {Sharding.NONE: 0, Sharding.ZERO1: 1, Sharding.ZERO2: 2}.get(plan.sharding, 3)
    return tuple(plan.gpus if stage >= needed else 1 for needed in (1, 2, 3))  # type: ignore[return-value]


def _weights(walker: Walker, plan: Plan, found: Trained) -> float:
    resident = walker.subject.resident * plan.frozen_bytes
    if plan.method is Method.FULL:
        return found.parameters * plan.trained_bytes + resident
    own = found.count * plan.trained_bytes
    frozen = found.parameters - (found.count if plan.method is Method.LAST_LAYER else 0)
    if plan.method is Method.QLORA:
        codes = sum(walker.matrices)
        return own + resident + codes * NF4_BYTES + (frozen - codes) * plan.frozen_bytes
    return own + resident + max(0, frozen) * plan.frozen_bytes


def _block_elements(walker: Walker) -> int:
    return max((sum(prod(s) for s in one.weights.values()) for one in walker.stacks), default=0)


def _optimizer(plan: Plan, shapes: tuple[Shape, ...]) -> float:
    count = sum(prod(shape) for shape in shapes)
    if plan.optimizer is Optimizer.ADAMW:
        return 2.0 * count * plan.trained_bytes
    if plan.optimizer is Optimizer.ADAMW_8BIT:
        return count * ADAM_8BIT_BYTES
    if plan.optimizer is Optimizer.SGD:
        return float(count * plan.trained_bytes)
    return 4.0 * sum(_factored(shape) for shape in shapes)


def _factored(shape: Shape) -> int:
    """Adafactor keeps a row and a column of a matrix in place of it (arXiv 1804.04235)."""
    if len(shape) < 2:
        return prod(shape)
    return prod(shape[:-1]) + prod((*shape[:-2], shape[-1]))


def _step_workspace(walker: Walker, plan: Plan, shapes: tuple[Shape, ...]) -> float:
    """What is there for a moment as gradients are finished and the optimizer steps.

    A table of embeddings that is the output layer too gets a second gradient, added to the first.
    On a CPU torch's AdamW makes two more of the largest parameter; its fused kernels make none.
    """
    is_doubled = plan.method is Method.FULL and walker.is_tied
    second = walker.largest_table * plan.trained_bytes if is_doubled else 0
    largest = max((prod(shape) for shape in shapes), default=0)
    is_plain = plan.on_cpu and plan.optimizer is Optimizer.ADAMW
    return float(max(second, 2 * largest * plan.trained_bytes if is_plain else 0))


def _is_target(name: str, targets: frozenset[str]) -> bool:
    module = name.rpartition(".")[0]
    return module.rpartition(".")[2] in targets or any(
        "." in one and module.endswith(f".{one}") for one in targets
    )


def _adapter(shape: Shape, rank: int) -> tuple[Shape, Shape]:
    """The matrices beside a weight or kernel: (rank, in), (out, rank) (arXiv 2106.09685)."""
    return (rank, prod(shape[1:])), (shape[0], rank)
