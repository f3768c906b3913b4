"""An estimate as plain data: the JSON that the command line and the hub give out.

Each group says by `basis` what kind of numbers it holds: `declared` (by the files or a device's
maker), `estimated` (from a formula), `measured`, or `given` by whoever asks.
"""

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

from cairn.estimation.devices import Catalogue, Device
from cairn.estimation.duration import Duration, Prices, Range
from cairn.estimation.estimate import Estimate, OnDevice, Suggestion, fits
from cairn.estimation.memory import Memory
from cairn.estimation.plan import Plan

SCHEMA = 1
FORMULAS: Mapping[str, str] = {
    "memory": "the larger of two moments of a step: weights + optimizer + activations + logits or"
    " workspace as the backward pass begins, weights + optimizer + gradients as the optimizer"
    " steps; activations are what autograd keeps of each layer",
    "flops": "2 for each multiplication with a weight and each token forwards, twice that"
    " backwards (once where the weight is frozen), 12 x layers x width x tokens for attention, a"
    " forward pass more under checkpointing; embeddings are not multiplied with",
    "time": "operations / (stated speed x efficiency), and no less than weights, gradients and"
    " optimizer read and written / stated bandwidth",
    "energy": "time x watts x devices x PUE / 3,600,000",
    "carbon": "energy x grams of CO2 per kWh",
    "cost": "time x price per hour x devices / 3600",
}


def describe_estimate(found: Estimate, known: Catalogue, prices: Prices) -> dict[str, Any]:
    """Bytes, operations, seconds, kWh and grams; ranges from the least to the most."""
    subject = found.subject
    return {
        "schema": SCHEMA,
        "model": {
            "basis": "declared",
            "family": subject.family,
            "class_name": subject.class_name,
            "evidence": subject.evidence,
            "parameters": found.parameters,
            "resident_parameters": subject.resident,
            "positions": subject.positions,
        },
        "plan": {"basis": "given", **describe_plan(found.plan)},
        "trained_parameters": {"basis": "estimated", "count": found.trained},
        "memory": {"basis": "estimated", **_memory(found.memory)},
        "flops_per_step": {"basis": "estimated", "count": found.flops_per_step},
        "steps": found.steps,
        "prices": {"basis": "given", **asdict(prices)},
        "devices": [_on(one) for one in found.devices],
        "suggestions": [_suggestion(one, found.devices[0].device) for one in found.suggestions],
        "efficiency_source": known.efficiency_source,
        "formulas": dict(FORMULAS),
    }


def describe_plan(plan: Plan) -> dict[str, Any]:
    """The plan's choices by their names."""
    return {
        key: value.value if isinstance(value, Enum) else value
        for key, value in asdict(plan).items()
        if key != "on_cpu"
    }


def describe_device(device: Device) -> dict[str, Any]:
    """A row of the catalogue. `read` names figures that were looked up; `checked`: some were."""
    return {"basis": "declared", **asdict(device), "checked": device.checked}


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        "moment": memory.moment.value,
        "parts": {part: round(size) for part, size in memory.parts.items()},
        "tensor_bytes": round(memory.tensors),
        "total_bytes": round(memory.total),
    }


def _on(one: OnDevice) -> dict[str, Any]:
    return {
        "device": describe_device(one.device),
        "fits": one.fits,
        "share_of_memory": one.share,
        "largest_batch": one.largest_batch,
        "time": {"basis": "estimated", **_time(one.time)},
    }


def _suggestion(one: Suggestion, device: Device) -> dict[str, Any]:
    size = round(one.memory.total)
    does_fit = fits(one.memory, device)
    return {"basis": "estimated", "change": one.words, "memory_bytes": size, "fits": does_fit}


def _time(time: Duration) -> dict[str, Any]:
    measured = "measured on this device" if time.is_efficiency_measured else "measured on others"
    return {
        "step_s": _range(time.step_s),
        "total_s": _range(time.total_s),
        "energy_kwh": _range(time.energy_kwh),
        "carbon_g": _range(time.carbon_g),
        "cost": _range(time.cost),
        "efficiency": _range(time.efficiency),
        "efficiency_basis": measured if time.efficiency else None,
        "bound_by": time.bound_by,
        "missing": list(time.missing),
    }


def _range(found: Range | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]
