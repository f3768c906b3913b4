"""What training the model of a revision takes, as pages and endpoints ask: by closed form."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from cairn.config import Settings
from cairn.domain import Checkpoint
from cairn.errors import RequestError
from cairn.estimation.devices import catalogue
from cairn.estimation.duration import Prices
from cairn.estimation.plan import Attention, Method, Optimizer, Plan, Precision, Sharding
from cairn.workflows.estimate import ALL, devices_of, estimate_checkpoint
from cairn.workflows.estimate_description import describe_estimate

_MAX_DIGITS = 7
Choice = TypeVar("Choice", bound=Enum)
DEFAULTS: Mapping[str, str] = {
    "method": "lora",
    "batch": "8",
    "seq": "512",
    "rank": "8",
    "precision": "amp",
    "optimizer": "adamw",
    "attention": "fused",
    "sharding": "none",
    "accumulation": "1",
    "gpus": "1",
    "image": "0",
    "target_seq": "0",
    "steps": "1000",
    "checkpointing": "",
    "double_quant": "",
    "device": ALL,
}
"""What a form shows at first: what most people with one small device would do."""


def asked_values(query: Mapping[str, str]) -> dict[str, str]:
    """What a query says, with the defaults for what it leaves out; a cleared box is unsaid."""
    return {key: query.get(key, "").strip() or value for key, value in DEFAULTS.items()}


def reckon(checkpoint: Checkpoint, values: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """The JSON of `cairn estimate --json` for a checkpoint.

    Raises:
        RequestError: a value makes no sense, or no closed form is known for the model.
    """
    plan = Plan(
        method=_choice(Method, values, "method"),
        batch=_number(values, "batch"),
        seq=_number(values, "seq"),
        target_seq=_number(values, "target_seq"),
        precision=_choice(Precision, values, "precision"),
        optimizer=_choice(Optimizer, values, "optimizer"),
        checkpointing=bool(values["checkpointing"]),
        attention=_choice(Attention, values, "attention"),
        accumulation=_number(values, "accumulation"),
        rank=_number(values, "rank"),
        double_quant=bool(values["double_quant"]),
        image=_number(values, "image"),
        gpus=_number(values, "gpus"),
        sharding=_choice(Sharding, values, "sharding"),
    )
    prices = Prices(
        per_hour=settings.price_per_hour,
        carbon_g_per_kwh=settings.carbon_intensity,
        pue=settings.pue,
        currency=settings.currency,
    )
    steps = _number(values, "steps")
    if steps < 1:
        raise RequestError("steps are 1 or more")
    devices = devices_of([values["device"]])
    found = estimate_checkpoint(checkpoint, plan, devices, steps=steps, prices=prices)
    return describe_estimate(found, catalogue(), prices)


def _choice(kind: type[Choice], values: Mapping[str, str], name: str) -> Choice:
    try:
        return kind(values[name])
    except ValueError:
        known = ", ".join(str(one.value) for one in kind)
        raise RequestError(f"{name} {values[name][:40]!r} is none of {known}") from None


def _number(values: Mapping[str, str], name: str) -> int:
    text = values[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise RequestError(f"{name} {text[:40]!r} is not a whole number")
    return int(text)
