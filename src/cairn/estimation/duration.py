"""How long training takes, how much energy, and what that costs at prices somebody states."""

from dataclasses import dataclass

from cairn.errors import RequestError
from cairn.estimation.devices import Catalogue, Device
from cairn.estimation.memory import Memory
from cairn.estimation.plan import Plan, Precision

_JOULES_PER_KWH = 3.6e6
_PASSES_OVER_WEIGHTS = 2  # forward and backward; recomputation reads them once more
_STEP_READS = 2  # the optimizer reads and writes what it updates


@dataclass(frozen=True, slots=True)
class Prices:
    """What somebody pays; there are no usual prices, so nothing is reckoned where one is None.

    Per device and hour, in the currency of `currency`; grams of CO2 per kWh; watts drawn by a
    device; `pue` is the data centre's energy over that of its machines.
    """

    per_hour: float | None = None
    carbon_g_per_kwh: float | None = None
    pue: float = 1.0
    watts: float | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        for name in ("per_hour", "carbon_g_per_kwh", "watts"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e9:
                raise RequestError(f"{name.replace('_', ' ')} {value} is not in 0 to below 10^9")
        if not 1 <= self.pue <= 10:
            raise RequestError(f"PUE {self.pue} is not in 1 to 10")


@dataclass(frozen=True, slots=True)
class Range:
    """From the least to the most."""

    low: float
    high: float

    def times(self, factor: float) -> "Range":
        """Both ends multiplied."""
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Duration:
    """Of one step and of all, on `gpus` devices together; None: a figure for it is missing.

    `bound_by` is what the faster end is limited by. `missing` says what is not known.
    """

    step_s: Range | None
    total_s: Range | None
    energy_kwh: Range | None = None
    carbon_g: Range | None = None
    cost: Range | None = None
    efficiency: Range | None = None
    is_efficiency_measured: bool = False
    bound_by: str = ""
    missing: tuple[str, ...] = ()


def duration(
    plan: Plan,
    flops_per_step: float,
    memory: Memory,
    device: Device,
    known: Catalogue,
    steps: int,
    prices: Prices,
) -> Duration:
    """Time as a range: operations over what devices of this kind were measured to reach.

    Never less than reading the weights and updating what is trained takes at the stated bandwidth.
    Devices are taken to add up without loss: what they tell each other costs time too.
    """
    speed = device.operations_per_s(plan)
    if speed is None:
        words = f"{device.title}: no stated speed in {plan.precision.value}"
        return Duration(None, None, missing=(words,))
    # It was measured in bfloat16 alone.
    is_measured = device.efficiency is not None and plan.precision is not Precision.FP32
    low, high = (device.efficiency if is_measured else None) or known.efficiency
    computed = Range(flops_per_step / (speed * high), flops_per_step / (speed * low))
    moved = _moved_s(plan, memory, device)
    step = Range(max(computed.low, moved), max(computed.high, moved))
    total = step.times(steps)
    watts = device.watts if prices.watts is None else prices.watts
    missing = []
    energy = None
    if watts is None:
        missing.append(f"{device.title}: watts are not stated; give them for energy and CO2")
    else:
        energy = total.times(watts * plan.gpus * prices.pue / _JOULES_PER_KWH)
    grams = prices.carbon_g_per_kwh
    return Duration(
        step_s=step,
        total_s=total,
        energy_kwh=energy,
        carbon_g=None if energy is None or grams is None else energy.times(grams),
        cost=None if prices.per_hour is None else total.times(prices.per_hour * plan.gpus / 3600),
        efficiency=Range(low, high),
        is_efficiency_measured=is_measured,
        bound_by="memory bandwidth" if moved > computed.low else "operations",
        missing=tuple(missing),
    )


def _moved_s(plan: Plan, memory: Memory, device: Device) -> float:
    if device.bandwidth_gb_s is None:
        return 0.0
    passes = _PASSES_OVER_WEIGHTS + plan.checkpointing
    read = memory.weights * passes * plan.accumulation
    updated = _STEP_READS * (memory.gradients + memory.optimizer)
    return (read + updated) / (device.bandwidth_gb_s * 1e9)
