"""`cairn estimate`: whether training fits, how long it takes, and what it costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import print_json
from cairn.cli.options import as_json, data_dir, together, usual
from cairn.cli.targets import read_target

if TYPE_CHECKING:
    from cairn.estimation.duration import Prices
    from cairn.estimation.estimate import Estimate
    from cairn.estimation.plan import Plan
    from cairn.workflows.readable import ReadableCheckpoint

_plan_options = together(
    usual("--method", "full", "What is trained.", "full", "lora", "qlora", "last-layer"),
    usual("--rank", 8, "Rank of an adapter."),
    click.option(
        "--targets",
        metavar="NAMES",
        default="",
        help="Modules an adapter goes to, with commas (default: those usual for the family).",
    ),
    usual("--adapter-dropout", 0.0, "Dropout before an adapter."),
    click.option("--double-quant", is_flag=True, help="qlora: scales in 8 bits too."),
    usual("--batch", 1, "Samples at once."),
    usual("--accumulation", 1, "Batches to a step of the optimizer."),
    usual("--seq", 512, "Tokens of a sample; of wav2vec 2.0, samples of sound."),
    click.option(
        "--target-seq", type=int, default=0, help="Tokens that T5 writes (default: --seq)."
    ),
    click.option(
        "--image",
        type=int,
        default=0,
        help="Side of images in pixels (default: what the model was made for).",
    ),
    usual(
        "--precision",
        "fp32",
        "Numbers that are computed with; amp: bfloat16 under autocast.",
        *("fp32", "bf16", "amp"),
    ),
    usual(
        "--optimizer",
        "adamw",
        "What updates the weights.",
        *("adamw", "adamw8bit", "sgd", "adafactor"),
    ),
    usual(
        "--attention",
        "fused",
        "Eager attention keeps a number for each pair of tokens.",
        *("fused", "eager"),
    ),
    click.option("--checkpointing", is_flag=True, help="Compute activations again, not keep them."),
)
_device_options = together(
    click.option(
        "--device",
        "devices",
        multiple=True,
        metavar="NAME",
        help="A device of the catalogue, or all; may be given again.",
    ),
    usual("--gpus", 1, "Devices together."),
    usual(
        "--sharding",
        "none",
        "What is divided among them.",
        *("none", "zero1", "zero2", "zero3", "fsdp"),
    ),
    click.option("--steps", type=int, help="Steps of the optimizer (default: 1)."),
    click.option("--tokens", type=int, help="Tokens to train on, in place of --steps."),
)
_price_options = together(
    click.option(
        "--price-per-hour",
        type=float,
        help="What a device costs for an hour (default: CAIRN_PRICE_PER_HOUR).",
    ),
    click.option(
        "--carbon-intensity",
        type=float,
        metavar="G/KWH",
        help="Grams of CO2 for a kWh (default: CAIRN_CARBON_INTENSITY).",
    ),
    click.option(
        "--pue",
        type=float,
        help="Energy of the data centre over that of its machines (default: CAIRN_PUE, or 1).",
    ),
    click.option("--watts", type=float, help="What a device draws (default: its maker's limit)."),
)


@click.command()
@click.argument("base", required=False, help="A file, a folder, or org/name@revision.")
@_plan_options
@_device_options
@_price_options
@click.option(
    "--exact",
    is_flag=True,
    help="Run the model's own code on tensors without memory: needs cairn-hub[train].",
)
@click.option("--devices", "lists_devices", is_flag=True, help="List the catalogue.")
@data_dir
@as_json
def estimate(
    base: str | None,
    data: Path | None,
    as_json: bool,
    lists_devices: bool,
    exact: bool,
    devices: tuple[str, ...],
    **asked: Any,
) -> None:
    """Say if training fits into memory, how long it takes, and what it costs.

    Nothing is loaded and nothing is run: it is reckoned from the names and shapes of the tensors.
    With --exact two steps of the model's own code are run on tensors without memory.
    """
    from cairn.cli.estimate_tables import print_devices, print_estimate
    from cairn.estimation.devices import catalogue
    from cairn.workflows.estimate import devices_of, estimate_checkpoint, steps_for
    from cairn.workflows.estimate_description import describe_device, describe_estimate

    known = catalogue()
    if lists_devices:
        rows = [describe_device(device) for device in known.devices.values()]
        return print_json(rows) if as_json else print_devices(rows, known.efficiency_source)
    if base is None:
        raise click.UsageError("name what to train: a file, a folder, or org/name@revision")
    plan, prices = _plan(asked), _prices(asked, data)
    found, label = read_target(base, data)
    reckoned = estimate_checkpoint(
        found.checkpoint,
        plan,
        devices_of(devices),
        steps=steps_for(plan, asked["steps"], asked["tokens"]),
        prices=prices,
    )
    told = describe_estimate(reckoned, known, prices)
    if exact:
        told["exact"] = _exactly(found, reckoned)
    return print_json(told) if as_json else print_estimate(label, told)


def _exactly(found: "ReadableCheckpoint", reckoned: "Estimate") -> dict[str, Any]:
    from dataclasses import asdict, replace

    from cairn.cli.console import err
    from cairn.estimation.devices import CPU
    from cairn.workflows.exact_estimate import estimate_exactly

    on_cpu = any(one.device.name == CPU for one in reckoned.devices)
    with err().status("running the model on tensors without memory"):
        exactly = estimate_exactly(found, replace(reckoned.plan, on_cpu=on_cpu))
    return {"basis": "measured on tensors without memory", **asdict(exactly)}


def _plan(asked: dict[str, Any]) -> "Plan":
    from cairn.estimation.plan import Attention, Method, Optimizer, Plan, Precision, Sharding

    plain = (
        *("rank", "adapter_dropout", "double_quant", "batch", "accumulation", "seq", "target_seq"),
        *("image", "checkpointing", "gpus"),
    )
    return Plan(
        method=Method(asked["method"]),
        precision=Precision(asked["precision"]),
        optimizer=Optimizer(asked["optimizer"]),
        attention=Attention(asked["attention"]),
        sharding=Sharding(asked["sharding"]),
        targets=tuple(name.strip() for name in asked["targets"].split(",") if name.strip()),
        **{key: asked[key] for key in plain},
    )


def _prices(asked: dict[str, Any], data: Path | None) -> "Prices":
    """What the options say, or else the settings."""
    from cairn.config import load_settings
    from cairn.estimation.duration import Prices

    kept = load_settings(
        data_dir=data,
        price_per_hour=asked["price_per_hour"],
        carbon_intensity=asked["carbon_intensity"],
        pue=asked["pue"],
    )
    return Prices(
        kept.price_per_hour, kept.carbon_intensity, kept.pue, asked["watts"], kept.currency
    )
