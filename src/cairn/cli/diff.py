"""`cairn diff`: what changed between two checkpoints."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, out, print_json, visible
from cairn.cli.options import as_json, data_dir
from cairn.cli.plots import plot_file, write_plot
from cairn.cli.targets import read_target

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cairn.workflows.diff import Difference
    from cairn.workflows.tensor_changes import TensorChange

DEFAULT_ROWS = 30
DIFFERENT = 1
_GLOB_CHARACTERS = frozenset("*?[")
_MANY_TIMES = 9.995  # from here on a percentage has more digits than it tells


@click.command()
@click.argument("before", help="A file, a folder, or a repo of this hub: org/name@revision.")
@click.argument("after", help="What to compare it with.")
@click.option(
    "--filter",
    "-f",
    "filter_by",
    default="",
    help="Only tensors whose name contains or globs this.",
)
@click.option("--values/--no-values", default=True, help="Read and compare the tensors' values.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=0),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Most tensors shown.",
)
@click.option("--all", "-a", "show_all", is_flag=True, help="Show every tensor, equal ones too.")
@plot_file("Write a heat map by layer: .svg or .png.")
@data_dir
@as_json
def diff(
    before: str,
    after: str,
    filter_by: str,
    values: bool,
    limit: int,
    show_all: bool,
    plot: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Compare tensors, settings, tokenizer and training state. Nothing in the files is run.

    Exits 0 if nothing differs and 1 if something does, as diff does; 2 and above are errors.
    """
    from cairn.workflows.diff import bytes_to_compare, compare, pairing_of

    left, _ = read_target(before, data)
    right, _ = read_target(after, data)
    pairing = pairing_of(left, right, values=values, wanted=_wanted(filter_by))
    total = bytes_to_compare(pairing) if values else 0
    with byte_progress("comparing", total) as progress:
        found = compare(left, right, pairing, values=values, progress=progress)
    if plot is not None:
        from cairn.workflows.diff_map import heat_map

        write_plot(heat_map(found).svg(), plot)
    if as_json:
        from cairn.workflows.diff_description import describe_difference

        print_json(describe_difference(found))
    else:
        _print(found, None if show_all else limit)
    if not found.is_same:
        raise click.exceptions.Exit(DIFFERENT)


def _wanted(filter_by: str) -> Callable[[str], bool]:
    pattern = filter_by if _GLOB_CHARACTERS & set(filter_by) else f"*{filter_by}*"
    return lambda name: fnmatchcase(name, pattern)


def _print(found: "Difference", limit: int | None) -> None:
    from cairn.workflows.diff_summary import summary

    console = out()
    before, after = visible(found.before.name), visible(found.after.name)
    console.print(f"[bold]{before}[/bold] to [bold]{after}[/bold]")
    for sentence in summary(found):
        console.print(f"  {visible(sentence)}")
    shown = found.tensors if limit is None else _most_changed(found)[:limit]
    if shown:
        console.print(_table(shown))
    hidden = len(found.tensors if limit is None else found.changed) - len(shown)
    if hidden > 0:
        console.print(f"{hidden:,} more tensors: --all shows them, --filter chooses")
    for note in found.notes:
        console.print(f"[yellow]note[/yellow] {visible(note)}")
    for path, reason in found.unread.items():
        console.print(f"[yellow]unread[/yellow] {visible(path)}: {visible(reason)}")


def _most_changed(found: "Difference") -> "list[TensorChange]":
    """The largest relative change first; what has none of its own before the small ones."""

    def size(change: "TensorChange") -> float:
        relative = change.comparison.relative_change if change.comparison else None
        return float("inf") if relative is None else relative

    return sorted(found.changed, key=size, reverse=True)


def _table(changes: "list[TensorChange] | tuple[TensorChange, ...]") -> "RenderableType":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("what")
    table.add_column("dtype")
    table.add_column("shape", overflow="fold")
    for heading in ("relative", "changed", "cosine", "rank"):
        table.add_column(heading, justify="right")
    for change in changes:
        table.add_row(*_cells(change))
    return table


def _cells(change: "TensorChange") -> list[str]:
    before, after = change.pair.before.tensor, change.pair.after.tensor
    name = visible(change.pair.after.name)
    if change.pair.is_renamed:
        name += f" [dim](was {visible(change.pair.before.name)})[/dim]"
    cells = [
        name,
        change.verdict.value,
        _arrow(before.dtype.label, after.dtype.label),
        _arrow(_shape(before.shape), _shape(after.shape)),
    ]
    found = change.comparison
    if found is None:
        return [*cells, visible(change.why[:60]) or "", "", "", ""]
    relative = found.relative_change
    rank = found.rank.rank if found.rank else None
    return [
        *cells,
        "from zero" if relative is None else _relative(relative),
        f"{100 * found.changed_fraction:.3g} %",
        "" if found.cosine is None else f"{found.cosine:.5f}",
        "" if rank is None else str(rank),
    ]


def _relative(relative: float) -> str:
    return f"{100 * relative:.3g} %" if relative < _MANY_TIMES else f"{relative:,.0f} times"


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} to {after}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(axis) for axis in shape) or "scalar"
