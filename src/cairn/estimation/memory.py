"""How much memory training takes at its fullest moment, by part."""

from dataclasses import dataclass, fields
from enum import Enum

from cairn.estimation.plan import Method, Optimizer, Plan, Sharding
from cairn.estimation.walking import Trained, Walker

# A 4-bit code each, and a float32 scale for 64 of them, as bitsandbytes keeps NF4; or a byte for
# that scale and a float32 for 256 of these bytes: arXiv 2305.14314, section 3.
NF4_BYTES = 0.5 + 4 / 64
NF4_DOUBLE_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
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
    communication: float
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


def memory(walker: Walker, plan: Plan) -> Memory:
    """The fullest moment of a step, in bytes on one device.

    Two moments compete: the backward pass begins with all activations and no gradients (or, when
    gradients are gathered over several batches, with all), and the step has all gradients and no
    activations. The larger one is it.

    Raises:
        RequestError: there is no closed form for this model.
    """
    tape = walker.tape(plan)
    found = walker.trained(plan)
    over = _divisors(plan)
    weights = _weights(walker, plan, found) / over[2]
    gradients = found.count * plan.trained_bytes / over[1]
    optimizer = _optimizer(plan, found) / over[0]
    workspace = tape.passing_bytes + tape.recomputed_bytes
    logits = tape.logits_bytes
    if plan.method is Method.QLORA:  # a product takes its weight out of the codes
        workspace += plan.narrow * walker.largest_matrix
        logits += plan.narrow * walker.head * plan.quantised_head
    if over[2] > 1:
        workspace += _GATHERED_BLOCKS * plan.frozen_bytes * walker.largest_block
    held = gradients if plan.accumulation > 1 else 0.0
    # What an old bitsandbytes carries over from the step before is gone as the loss is there; the
    # gradients of logits are gone before blocks are computed again or passed through.
    if tape.carried_bytes:
        logits = max(logits, logits - tape.logits_bytes * 2 / 3 + tape.carried_bytes)
    backward = held + tape.kept_bytes + max(logits, workspace)
    step_workspace = _step_workspace(walker, plan, found, has_scores=tape.logits_bytes > 0)
    buckets = gradients if _has_buckets(plan) else 0.0
    overhead = 0.0 if plan.on_cpu else float(DEVICE_OVERHEAD_BYTES)
    if backward >= gradients + step_workspace:
        is_logits = logits >= workspace
        return Memory(
            *(weights, held, optimizer, tape.kept_bytes),
            *(logits if is_logits else 0.0, 0.0 if is_logits else workspace),
            *(buckets, overhead),
            moment=Moment.BACKWARD,
        )
    return Memory(
        *(weights, gradients, optimizer, 0.0, 0.0, step_workspace),
        *(buckets, overhead),
        moment=Moment.STEP,
    )


def _has_buckets(plan: Plan) -> bool:
    """Whether gradients are there twice, the second time in the buckets that are sent.

    `DistributedDataParallel` does so unless `gradient_as_bucket_view` is set
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html).
    """
    return plan.gpus > 1 and plan.sharding in (Sharding.NONE, Sharding.ZERO1)


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
        codes = walker.matrices + walker.head * plan.quantised_head
        each = NF4_DOUBLE_BYTES if plan.double_quant else NF4_BYTES
        return own + resident + codes * each + (frozen - codes) * plan.unquantised_bytes
    return own + resident + max(0, frozen) * plan.frozen_bytes


def _optimizer(plan: Plan, found: Trained) -> float:
    if plan.optimizer is Optimizer.ADAMW:
        return 2.0 * found.count * plan.trained_bytes
    if plan.optimizer is Optimizer.ADAMW_8BIT:
        return found.count * ADAM_8BIT_BYTES
    if plan.optimizer is Optimizer.SGD:
        return float(found.count * plan.trained_bytes)
    return 4.0 * found.factored


def _step_workspace(walker: Walker, plan: Plan, found: Trained, *, has_scores: bool) -> float:
    """What is there for a moment as gradients are finished and the optimizer steps.

    A table of embeddings that is the output layer too gets a second gradient, added to the first,
    where the model `has_scores` over its words: a classifier looks them up alone.
    """
    is_doubled = plan.method is Method.FULL and walker.is_tied and has_scores
    second = walker.largest_table * plan.trained_bytes if is_doubled else 0
    return float(max(second, found.largest * _passing_bytes(plan)))


def _passing_bytes(plan: Plan) -> int:
    """What an optimizer makes in passing of each element of the largest parameter.

    On a CPU torch's AdamW makes two; its fused kernels make none. Adafactor of transformers makes
    two in float32 everywhere, and copies of the gradient and the weight where they are not.
    """
    if plan.optimizer is Optimizer.ADAFACTOR:
        return 2 * 4 + (2 * 4 if plan.trained_bytes < 4 else 0)
    return 2 * plan.trained_bytes if plan.on_cpu and plan.optimizer is Optimizer.ADAMW else 0
