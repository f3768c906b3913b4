"""`cairn merge`: adapters into their base and out again, adapters from fine-tunes, siblings."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.options import LOCAL_PATH, as_json, data_dir, together, usual
from cairn.cli.quantities import ByteCount
from cairn.cli.targets import read_target
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.workflows.computed_weights import Computed, Weights
    from cairn.workflows.lora_files import Adapter
    from cairn.workflows.merge_card import Parents

_SHOWN = 20


_writes = together(
    click.option(
        *("--out", "-o", "target"),
        type=LOCAL_PATH,
        required=True,
        metavar="DIR",
        help="Where to write.",
    ),
    click.option("--shard-size", type=ByteCount(), help="Most bytes of a file, as 5GB."),
    click.option("--force", is_flag=True, help="Overwrite files that are there."),
    data_dir,
    as_json,
)


@click.group()
def merge() -> None:
    """Merge adapters and models, and take them apart again, one tensor at a time.

    Models are a file, a folder, or a repo of this hub: org/name@revision. Nothing in them is run.
    """


@merge.command()
@click.argument("base")
@click.argument("adapter")
@_writes
def adapter(base: str, adapter: str, data: Path | None, **options: Any) -> None:
    """Put a LoRA adapter into its base: the result loads without PEFT."""
    from cairn.workflows.merge_adapter import merged_with

    _with_adapter(merged_with, base, adapter, data, options)


@merge.command()
@click.argument("merged")
@click.argument("adapter")
@_writes
def undo(merged: str, adapter: str, data: Path | None, **options: Any) -> None:
    """Take a LoRA adapter out of a model it was put into: the base again, to rounding."""
    from cairn.workflows.merge_adapter import unmerged

    _with_adapter(unmerged, merged, adapter, data, options)


@merge.command()
@click.argument("base")
@click.argument("tuned")
@usual("--rank", 16, "Rank of the adapter.")
@_writes
def extract(
    base: str, tuned: str, rank: int, data: Path | None, as_json: bool, **options: Any
) -> None:
    """Write what fine-tuning changed as a LoRA adapter, and say how much of it that is."""
    from cairn.workflows.extract_adapter import extracted

    whole = _weights(base, data)
    made, report = extracted(whole, _weights(tuned, data), rank)
    paths = _written(made, whole, options, name="adapter_model.safetensors")
    told = {
        "schema": 1,
        "written": [str(path) for path in paths],
        "rank": rank,
        "kept": [
            {"name": one.name, "energy_kept": one.energy_kept, "relative_error": one.relative_error}
            for one in report.kept
        ],
        "left_out": dict(report.left_out),
    }
    return print_json(told) if as_json else _print_kept(told)


@merge.command()
@click.argument("models", nargs=-1, required=True)
@usual("--method", "linear", "How weights become one.", "linear", "slerp", "ties", "dare")
@click.option("--base", metavar="MODEL", help="What all were made from: for ties and dare.")
@click.option("--weights", metavar="W,W", help="One number for each model (default: 1 each).")
@usual("--t", 0.5, "slerp: 0 is the first.")
@usual("--density", 0.2, "ties, dare: share of each change that is kept.")
@usual("--scale", 1.0, "ties, dare: times this.")
@usual("--seed", 0, "dare: what chance drops.")
@_writes
def models(
    models: tuple[str, ...],
    method: str,
    base: str | None,
    weights: str | None,
    t: float,
    density: float,
    scale: float,
    seed: int,
    data: Path | None,
    **options: Any,
) -> None:
    """Merge models of one architecture: linear, slerp, ties or dare."""
    from cairn.merging.siblings import Method, Recipe
    from cairn.workflows.merge_models import merged_models

    recipe = Recipe(Method(method), _numbers(weights, len(models)), t, density, scale, seed)
    whole = [_weights(one, data) for one in models]
    start = None if base is None else _weights(base, data)
    _write(merged_models(whole, start, recipe), whole[0], options)


def _with_adapter(
    verb: Callable[["Weights", "Adapter", "Parents"], "Computed"],
    model: str,
    adapter: str,
    data: Path | None,
    options: dict[str, Any],
) -> None:
    from cairn.workflows.lora_files import adapter_for
    from cairn.workflows.merge_card import Parents

    whole = _weights(model, data)
    found, label = read_target(adapter, data)
    made = verb(whole, adapter_for(found, label, whole), Parents((whole.label, label)))
    _write(made, whole, options)


def _weights(text: str, data: Path | None) -> "Weights":
    from cairn.workflows.computed_weights import weights_of

    found, label = read_target(text, data)
    return weights_of(found, label)


def _numbers(text: str | None, count: int) -> tuple[float, ...]:
    if text is None:
        return (1.0,) * count
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError:
        raise RequestError(f"--weights {text[:60]!r} are not numbers with commas") from None


def _write(made: "Computed", source: "Weights", options: dict[str, Any]) -> None:
    as_json = options.pop("as_json")
    paths = _written(made, source, options)
    size = sum(path.stat().st_size for path in paths)
    if as_json:
        told = {"schema": 1, "written": [str(path) for path in paths], "size_bytes": size}
        return print_json({**told, "tensors": len(made.tensors), "computed": len(made.computed)})
    out().print(f"{len(made.tensors):,} tensors, {len(made.computed):,} of them computed")
    for path in paths:
        out().print(f"{visible(str(path))} {human_bytes(path.stat().st_size)}")
    return None


def _written(
    made: "Computed", source: "Weights", options: dict[str, Any], name: str = ""
) -> list[Path]:
    from cairn.formats.reframing import size_bytes
    from cairn.workflows.computed_weights import with_companions, write_computed
    from cairn.workflows.convert import usual_name

    whole = made if name else with_companions(made, source.found)
    with byte_progress("merging", sum(map(size_bytes, made.tensors))) as progress:
        return write_computed(
            whole,
            source.found,
            options["target"],
            name or usual_name(source.found),
            shard_bytes=options["shard_size"],
            force=options["force"],
            progress=progress,
        )


def _print_kept(told: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("energy kept", justify="right")
    table.add_column("relative error", justify="right")
    worst = sorted(told["kept"], key=lambda one: one["energy_kept"])
    for one in worst[:_SHOWN]:
        error = f"{one['relative_error']:.3g}"
        table.add_row(visible(one["name"]), f"{100 * one['energy_kept']:.1f} %", error)
    console = out()
    console.print(table)
    if len(worst) > _SHOWN:
        console.print(f"{len(worst) - _SHOWN:,} more, better kept: --json lists them")
    for name, change in list(told["left_out"].items())[:_SHOWN]:
        console.print(f"[yellow]left out[/yellow] {visible(name)}: changed by {change:.3g}")
    if len(told["left_out"]) > _SHOWN:
        console.print(f"{len(told['left_out']) - _SHOWN:,} more left out: --json lists them")
    for path in told["written"]:
        console.print(visible(path))
