"""The whole answer: memory, operations, time, the largest batch on every device, and what helps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cairn.errors import RequestError
from cairn.estimation.devices import CPU, Catalogue, Device, catalogue
from cairn.estimation.duration import Duration, Prices, duration
from cairn.estimation.memory import Memory, memory
from cairn.estimation.plan import MAX_BATCH, Method, Optimizer, Plan, Precision, Sharding
from cairn.estimation.subject import Subject
from cairn.estimation.walking import Walker

_MOST_GPUS = 1024
_DIVIDED = {
    Sharding.ZERO1: "the optimizer (ZeRO-1)",
    Sharding.ZERO2: "optimizer and gradients (ZeRO-2)",
    Sharding.FSDP: "everything (FSDP, ZeRO-3)",
}
MAX_TENSORS = 100_000
"""Tensors of one model that are looked at; mixtures of a hundred experts have some 40,000."""


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What a plan means on one device. `largest_batch` 0: not even one sample fits."""

    device: Device
    fits: bool
    share: float
    largest_batch: int
    time: Duration


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change of the plan, and what it then takes."""

    words: str
    plan: Plan
    memory: Memory


@dataclass(frozen=True, slots=True)
class Estimate:
    """Everything about one plan; nothing was run. Operations are of one step of one device."""

    subject: Subject
    plan: Plan
    parameters: int
    trained: int
    memory: Memory
    flops_per_step: float
    steps: int
    devices: tuple[OnDevice, ...]
    suggestions: tuple[Suggestion, ...]


def estimate(
    subject: Subject,
    plan: Plan,
    devices: tuple[Device, ...] = (),
    *,
    steps: int = 1,
    prices: Prices | None = None,
    known: Catalogue | None = None,
) -> Estimate:
    """What training takes under a plan, and on each of these devices.

    Memory is that of the devices asked for where these are CPUs alone, else that of others.
    Suggestions are made for the first device, where the plan does not fit there.

    Raises:
        RequestError: there is no closed form for this model, or it lacks a number.
    """
    if len(subject.tensors) > MAX_TENSORS:
        raise RequestError(f"{len(subject.tensors):,} tensors; estimates take {MAX_TENSORS:,}")
    try:
        return _estimate(subject, plan, devices, steps, prices or Prices(), known or catalogue())
    except (ArithmeticError, LookupError, ValueError) as error:  # shapes come from strangers
        raise RequestError(
            f"the tensors are not shaped as those of {subject.family or 'a known family'}: {error}"
        ) from error


def _estimate(
    subject: Subject,
    plan: Plan,
    devices: tuple[Device, ...],
    steps: int,
    prices: Prices,
    known: Catalogue,
) -> Estimate:
    walker = Walker(subject)
    is_on_cpu = plan.on_cpu or (bool(devices) and all(one.name == CPU for one in devices))
    needed = memory(walker, replace(plan, on_cpu=is_on_cpu))
    found = walker.trained(plan)
    flops = _flops(walker, plan)
    rows = tuple(_on(walker, plan, device, known, steps, prices) for device in devices)
    advice: tuple[Suggestion, ...] = ()
    if rows and not rows[0].fits:
        advice = tuple(_suggestions(walker, plan, rows[0].device))
    return Estimate(
        *(subject, plan, found.parameters, found.count, needed, flops, steps, rows, advice)
    )


def fits(needed: Memory, device: Device) -> bool:
    """Whether it is within the device's memory."""
    return needed.total <= device.memory_bytes


def largest_batch(walker: Walker, plan: Plan, device: Device) -> int:
    """The most samples at once that fit; 0 if one does not.

    Memory is the larger of two straight lines over the batch, so a line between two points of it
    lies above it: where that meets the device's memory, the batch still fits.
    """
    room = device.memory_bytes

    def total(batch: int) -> float:
        return memory(walker, replace(plan, batch=batch)).total

    low, high = 1, MAX_BATCH
    at_low, at_high = total(low), total(high)
    if at_low > room:
        return 0
    if at_high <= room:
        return high
    while high - low > 1:
        middle = low + int((room - at_low) / (at_high - at_low) * (high - low))
        middle = min(max(middle, low + 1), high - 1)
        at_middle = total(middle)
        if at_middle <= room:
            low, at_low = middle, at_middle
        else:
            high, at_high = middle, at_middle
    return low


def _flops(walker: Walker, plan: Plan) -> float:
    tape = walker.tape(plan)
    return (tape.forward_flops + tape.backward_flops) * plan.accumulation


def _on(
    walker: Walker, plan: Plan, device: Device, known: Catalogue, steps: int, prices: Prices
) -> OnDevice:
    plan = replace(plan, on_cpu=device.name == CPU)
    needed = memory(walker, plan)
    time = duration(plan, _flops(walker, plan), needed, device, known, steps, prices)
    return OnDevice(
        device=device,
        fits=fits(needed, device),
        share=needed.total / device.memory_bytes,
        largest_batch=largest_batch(walker, plan, device),
        time=time,
    )


# --- what helps --------------------------------------------------------------------------------


def _suggestions(walker: Walker, plan: Plan, device: Device) -> Iterator[Suggestion]:
    """Single changes, then those that fit only together, each with its own number."""
    plan = replace(plan, on_cpu=device.name == CPU)
    for words, changed in _changes(walker, plan, device):
        yield Suggestion(words, changed, memory(walker, changed))


def _changes(walker: Walker, plan: Plan, device: Device) -> Iterator[tuple[str, Plan]]:
    if not plan.checkpointing:
        yield "checkpointing", replace(plan, checkpointing=True)
    if plan.precision is Precision.FP32:
        yield "bfloat16 under autocast (amp)", replace(plan, precision=Precision.AMP)
    if plan.optimizer is Optimizer.ADAMW:
        yield "8-bit AdamW", replace(plan, optimizer=Optimizer.ADAMW_8BIT)
    if plan.method is Method.FULL:
        yield f"LoRA of rank {plan.rank}", replace(plan, method=Method.LORA)
    if plan.method in (Method.FULL, Method.LORA):
        quantised = replace(plan, method=Method.QLORA)
        yield f"QLoRA of rank {plan.rank}", quantised
        yield (
            "QLoRA, checkpointing and amp",
            replace(quantised, checkpointing=True, precision=Precision.AMP),
        )
    smaller = largest_batch(walker, plan, device)
    if not smaller and plan.accumulation == 1:
        smaller = largest_batch(walker, replace(plan, accumulation=2), device)
    if 0 < smaller < plan.batch:
        times = -(-plan.batch // smaller)
        less = replace(plan, batch=-(-plan.batch // times), accumulation=times * plan.accumulation)
        yield f"batches of {less.batch}, {less.accumulation} to a step", less
    yield from _sharded(walker, plan, device)


def _sharded(walker: Walker, plan: Plan, device: Device) -> Iterator[tuple[str, Plan]]:
    """Of each way to divide, the fewest devices, each doubling, over which it fits."""
    for sharding, divided in _DIVIDED.items():
        gpus = max(2, 2 * plan.gpus)
        while gpus <= _MOST_GPUS:
            changed = replace(plan, gpus=gpus, sharding=sharding)
            if fits(memory(walker, changed), device):
                yield f"{divided} divided among {gpus} of them", changed
                break
            gpus *= 2
