"""`cairn weights`: what is odd about a fine-tune's weights, against its base and its siblings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, out, print_json, visible
from cairn.cli.options import MAIN, as_json, data_dir, hub_options
from cairn.cli.targets import parse_repo, read_target

if TYPE_CHECKING:
    from rich.console import RenderableType

DEFAULT_ROWS = 20
_OUTLIERS = 3
_FACTS = 30

Told = Mapping[str, Any]


@click.command()
@click.argument("base", help="What was fine-tuned: a file, a folder, or org/name@revision.")
@click.argument(
    "model", required=False, help="The fine-tune to look at. With --hub it may stand alone."
)
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
@hub_options
@data_dir
@as_json
def weights(
    base: str,
    model: str | None,
    siblings: tuple[str, ...],
    limit: int,
    hub: str | None,
    token: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Say what is odd about a fine-tune's weights, and how often honest ones look so.

    Experimental. Nothing is run, and no verdict is given: the exit code is 0 whatever is found.

    With --hub it is the report of that hub, which reads both sides and knows the siblings that
    it has: nothing is downloaded. `cairn weights org/tuned@main --hub URL` takes the base that the
    model's card names.
    """
    if hub:
        if siblings:
            raise click.UsageError("--hub knows its own siblings: leave out --sibling")
        told = _told_by(hub, token, base if model else "", model or base)
    elif model is None:
        raise click.UsageError("name the base and the model, or ask a --hub for its own")
    else:
        told = _found_here(base, model, siblings, data)
    if as_json:
        print_json(told)
    else:
        _print(told, limit)


def _found_here(base: str, model: str, siblings: Sequence[str], data: Path | None) -> Told:
    from cairn.workflows.weights import bytes_to_read, judge
    from cairn.workflows.weights_description import describe_weights

    left, _ = read_target(base, data)
    right, _ = read_target(model, data)
    others = [read_target(sibling, data)[0] for sibling in siblings]
    with byte_progress("comparing", bytes_to_read(left, right, others)) as progress:
        return describe_weights(judge(left, right, others, progress))


def _told_by(hub: str, token: str | None, base: str, model: str) -> Told:
    from cairn.hub.remote import RemoteHub
    from cairn.hub.remote_weights import remote_weights

    name, _, revision = model.partition("@")
    base_name, _, base_revision = base.partition("@")
    return remote_weights(
        RemoteHub(hub, token),
        parse_repo(name),
        revision or MAIN,
        base=(base_name, base_revision),
        waiting=lambda words: click.echo(words, err=True),
    )


def _print(told: Told, limit: int) -> None:
    console = out()
    console.print(f"[bold]{visible(told['model'])}[/bold] from {visible(told['base'])}")
    for sentence in told["summary"]:
        console.print(f"  {visible(sentence)}")
    facts, tensors = told["facts"], told["tensors"]
    for fact in facts[:_FACTS]:
        console.print(f"[yellow]fact[/yellow] {visible(fact['tensor'])}: {visible(fact['text'])}")
    if len(facts) > _FACTS:
        console.print(f"{len(facts) - _FACTS:,} more facts: --json lists them")
    if tensors[:limit]:
        console.print(_table(tensors[:limit]))
    if len(tensors) > limit:
        console.print(f"{len(tensors) - limit:,} more tensors: --limit shows them, or --json")


def _table(tensors: Sequence[Told]) -> "RenderableType":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("shape", overflow="fold")
    for heading in ("relative", "x usual", "first", "second"):
        table.add_column(heading, justify="right")
    table.add_column("rows that stand out", overflow="fold")
    table.add_column("columns", overflow="fold")
    for one in tensors:
        shares = [f"{share:.0%}" for share in one["leading_shares"][:2]]
        relative, usual = one["relative_change"], one["times_usual"]
        table.add_row(
            visible(one["name"]),
            " x ".join(str(axis) for axis in one["shape"]) or "scalar",
            "from zero" if relative is None else f"{100 * relative:.3g} %",
            "" if usual is None else f"{usual:.2g}",
            *[*shares, "", ""][:2],
            _listed([_outlier(row) for row in one["rows"]]),
            _listed([_outlier(column) for column in one["columns"]]),
        )
    return table


def _outlier(one: Told) -> str:
    token = f" {visible(repr(one['token']))}" if "token" in one else ""
    return f"{one['index']}{token} (z {one['z']:.0f})"


def _listed(told: list[str]) -> str:
    more = f" and {len(told) - _OUTLIERS} more" if len(told) > _OUTLIERS else ""
    return ", ".join(told[:_OUTLIERS]) + more
