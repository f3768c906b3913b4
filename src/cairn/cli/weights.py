"""`cairn weights`: what is odd about a fine-tune's weights, against its base and its siblings."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, out, print_json, visible
from cairn.cli.options import as_json, data_dir
from cairn.cli.targets import read_target

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cairn.workflows.anomalies import TensorAnomaly
    from cairn.workflows.weights import WeightsReport

DEFAULT_ROWS = 20
_OUTLIERS = 3
_FACTS = 30


@click.command()
@click.argument("base", help="What was fine-tuned: a file, a folder, or org/name@revision.")
@click.argument("model", help="The fine-tune to look at.")
@click.option(
    "--sibling",
    "-s",
    "siblings",
    metavar="MODEL",
    multiple=True,
    help="An honest fine-tune of the same base; give as many as there are.",
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=0),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Most tensors shown.",
)
@data_dir
@as_json
def weights(
    base: str,
    model: str,
    siblings: tuple[str, ...],
    limit: int,
    data: Path | None,
    as_json: bool,
) -> None:
    """Say what is odd about a fine-tune's weights, and how often honest ones look so.

    Experimental. Nothing is run, and no verdict is given: the exit code is 0 whatever is found.
    """
    from cairn.workflows.weights import bytes_to_read, judge

    left, _ = read_target(base, data)
    right, _ = read_target(model, data)
    others = [read_target(sibling, data)[0] for sibling in siblings]
    with byte_progress("comparing", bytes_to_read(left, right, others)) as progress:
        found = judge(left, right, others, progress)
    if as_json:
        from cairn.workflows.weights_description import describe_weights

        print_json(describe_weights(found))
    else:
        _print(found, limit)


def _print(found: "WeightsReport", limit: int) -> None:
    from cairn.workflows.weights_summary import summary

    console = out()
    console.print(f"[bold]{visible(found.update.name)}[/bold] from {visible(found.base)}")
    for sentence in summary(found):
        console.print(f"  {visible(sentence)}")
    for fact in found.facts[:_FACTS]:
        console.print(f"[yellow]fact[/yellow] {visible(fact.tensor)}: {visible(fact.text)}")
    if len(found.facts) > _FACTS:
        console.print(f"{len(found.facts) - _FACTS:,} more facts: --json lists them")
    if found.tensors[:limit]:
        console.print(_table(found, found.tensors[:limit]))
    if len(found.tensors) > limit:
        console.print(f"{len(found.tensors) - limit:,} more tensors: --limit shows them, or --json")


def _table(found: "WeightsReport", tensors: "tuple[TensorAnomaly, ...]") -> "RenderableType":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("shape", overflow="fold")
    for heading in ("relative", "x usual", "first", "second"):
        table.add_column(heading, justify="right")
    table.add_column("rows that stand out", overflow="fold")
    table.add_column("columns", overflow="fold")
    for one in tensors:
        shares = [f"{share:.0%}" for share in one.update.shares[:2]]
        table.add_row(
            visible(one.name),
            " x ".join(str(axis) for axis in one.update.shape) or "scalar",
            "from zero" if one.relative is None else f"{100 * one.relative:.3g} %",
            "" if one.times_usual is None else f"{one.times_usual:.2g}",
            *[*shares, "", ""][:2],
            _rows(one, found.row_names.get(one.name, {})),
            _listed([f"{c.index} (z {c.z:.0f})" for c in one.columns]),
        )
    return table


def _rows(one: "TensorAnomaly", names: dict[int, str]) -> str:
    told = []
    for row in one.rows:
        token = f" {visible(repr(names[row.index]))}" if row.index in names else ""
        told.append(f"{row.index}{token} (z {row.z:.0f})")
    return _listed(told)


def _listed(told: list[str]) -> str:
    more = f" and {len(told) - _OUTLIERS} more" if len(told) > _OUTLIERS else ""
    return ", ".join(told[:_OUTLIERS]) + more
