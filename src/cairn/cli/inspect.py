"""`cairn inspect`: what a checkpoint is made of."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.architecture import architecture_rows, completeness_rows, tree_lines
from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.errors import exit_code
from cairn.cli.options import OneOf, as_json, data_dir
from cairn.cli.plain_values import value_rows
from cairn.cli.targets import read_target
from cairn.errors import MalformedError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cairn.domain import Checkpoint
    from cairn.workflows.health import TensorHealth
    from cairn.workflows.inspection import Located
    from cairn.workflows.readable import ReadableCheckpoint

DEFAULT_ROWS = 40
NOTHING_READ = exit_code(MalformedError("nothing read"))
_GLOB_CHARACTERS = frozenset("*?[")


class Sort(StrEnum):
    """Orders of the tensor table."""

    FILE = "file"
    NAME = "name"
    SIZE = "size"
    DTYPE = "dtype"


@click.command()
@click.argument("target", help="A file, a folder, or a repo of this hub: org/name@revision.")
@click.option(
    "--filter",
    "-f",
    "filter_by",
    default="",
    help="Show tensors whose name contains or globs this.",
)
@click.option(
    "--sort",
    "-s",
    type=OneOf(Sort),
    default=Sort.FILE.value,
    show_default=True,
    help="Order of the tensors.",
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=0),
    help=f"Most tensors shown (default {DEFAULT_ROWS}).",
)
@click.option("--all", "-a", "show_all", is_flag=True, help="Show every tensor.")
@click.option("--stats", is_flag=True, help="Read the values: statistics of every matching tensor.")
@click.option(
    "--rank",
    is_flag=True,
    help="With the effective rank of matrices up to 2048 wide: slower.",
)
@click.option("--tree", "-t", is_flag=True, help="Show the modules instead of the tensors.")
@data_dir
@as_json
def inspect(
    target: str,
    filter_by: str,
    sort: Sort,
    limit: int | None,
    show_all: bool,
    stats: bool,
    rank: bool,
    tree: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show format, architecture, parameters, roles and tensors. Nothing in the file is run.

    Exits 6 when files that should hold tensors are there and none of them could be read.
    """
    readable, _ = read_target(target, data)
    checkpoint = readable.checkpoint
    chosen = _chosen(checkpoint.tensors(), filter_by, sort)
    measured = _measured(readable, chosen, everywhere=rank) if stats or rank else None
    rows = chosen
    if not show_all and (limit is not None or not as_json):
        rows = chosen[: DEFAULT_ROWS if limit is None else limit]
    if as_json:
        print_json(_plain(checkpoint, rows, measured))
    elif tree:
        _print_tree(checkpoint)
    else:
        _print(checkpoint, rows, len(chosen), filter_by, measured)
    if checkpoint.unread and not checkpoint.layouts:
        raise click.exceptions.Exit(NOTHING_READ)


def _measured(
    readable: "ReadableCheckpoint", rows: "list[Located]", *, everywhere: bool
) -> "list[TensorHealth]":
    """The health of the tensors, in their order; with `everywhere` more of them get a rank."""
    from cairn.analysis.spectrum import MAX_SIDE
    from cairn.workflows.health import measure_tensors

    total = sum(tensor.size_bytes for _, tensor in rows)
    side = MAX_SIDE if everywhere else None
    with byte_progress("measuring", total) as progress:
        return list(measure_tensors(readable, rows, progress=progress, max_rank_side=side))


def _plain(
    checkpoint: "Checkpoint", rows: "list[Located]", measured: "list[TensorHealth] | None"
) -> dict[str, object]:
    from cairn.workflows.inspection import describe

    found = describe(checkpoint, rows)
    if measured is None:
        return found
    from cairn.workflows.health import summarise
    from cairn.workflows.plain_statistics import plain_health, plain_summary

    for tensor, health in zip(found["tensors"], measured, strict=False):
        tensor.update(plain_health(health))
    return found | {"health": plain_summary(summarise(measured))}


def _print(
    checkpoint: "Checkpoint",
    rows: "list[Located]",
    matching: int,
    filter_by: str,
    measured: "list[TensorHealth] | None",
) -> None:
    from cairn.cli.health_table import health_remarks, health_table, hidden_columns

    console = out()
    console.print(_summary(checkpoint))
    if rows and measured is not None:
        several = len(checkpoint.layouts) > 1
        shown = measured[: len(rows)]
        console.print(health_table(shown, several_files=several, columns=console.width))
        if hidden := hidden_columns(console.width):
            console.print(hidden)
    elif rows:
        console.print(_table(checkpoint, rows))
    if len(rows) < matching:
        console.print(f"{matching - len(rows):,} more tensors: --all shows them, --filter chooses")
    elif not matching and filter_by:
        console.print(f"no tensor matches {visible(filter_by)}")
    for remark in (*_remarks(checkpoint), *(health_remarks(measured) if measured else ())):
        console.print(remark)


def _print_tree(checkpoint: "Checkpoint") -> None:
    console = out()
    console.print(_summary(checkpoint))
    for line in [*tree_lines(checkpoint), *_remarks(checkpoint)]:
        console.print(line)


def _chosen(tensors: "Iterable[Located]", wanted: str, sort: Sort) -> "list[Located]":
    """The tensors that match, in the order asked for; ties keep the order of the file."""
    pattern = wanted if _GLOB_CHARACTERS & set(wanted) else f"*{wanted}*"
    rows = [(path, tensor) for path, tensor in tensors if fnmatchcase(tensor.name, pattern)]
    if sort is Sort.NAME:
        rows.sort(key=lambda row: row[1].name)
    elif sort is Sort.SIZE:
        rows.sort(key=lambda row: -row[1].dtype.size_bytes(row[1].elements))
    elif sort is Sort.DTYPE:
        rows.sort(key=lambda row: (row[1].dtype.label, row[1].name))
    return rows


def _summary(checkpoint: "Checkpoint") -> "RenderableType":
    from rich.table import Table

    from cairn.workflows.inspection import role_totals

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("checkpoint", visible(checkpoint.name))
    files = len(checkpoint.layouts)
    if not files:
        table.add_row("format", "no file here holds tensors")
        if checkpoint.other_files_bytes:
            table.add_row("size", f"{human_bytes(checkpoint.other_files_bytes)} of other files")
        return table
    counted = f" ({files} files)" if files != 1 else ""
    table.add_row("format", f"{', '.join(checkpoint.formats)}{counted}")
    table.add_row("size", f"{human_bytes(checkpoint.size_bytes)} ({checkpoint.size_bytes:,} bytes)")
    found = checkpoint.architecture
    if found:
        for label, text in architecture_rows(found):
            table.add_row(label, text)
    parameters = checkpoint.parameters_by_dtype()
    by_dtype = ", ".join(
        f"{dtype.label} {count:,}"
        for dtype, count in sorted(parameters.items(), key=lambda item: -item[1])
    )
    total = sum(parameters.values())
    of_one = found.facts.get("parameters") if found else None
    if of_one is not None and of_one.value != total:
        table.add_row("of the model", f"{of_one.value:,} parameters")
    table.add_row("parameters", f"{total:,}{f' ({by_dtype})' if by_dtype else ''}")
    for role, counts in role_totals(checkpoint).items():
        size = human_bytes(counts["size_bytes"])
        table.add_row(role, f"{counts['tensors']:,} tensor{'s' * (counts['tensors'] != 1)}, {size}")
    if checkpoint.completeness:
        for label, text in completeness_rows(checkpoint.completeness):
            table.add_row(label, text)
    for label, text in value_rows(checkpoint):
        table.add_row(label, text)
    return table


def _table(checkpoint: "Checkpoint", rows: "Sequence[Located]") -> "RenderableType":
    from rich.table import Table

    from cairn.workflows.inspection import parameter_of

    several = len(checkpoint.layouts) > 1
    owners = [parameter_of(checkpoint, path, tensor) for path, tensor in rows]
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")  # a name cut short names nothing
    table.add_column("dtype")
    table.add_column("shape", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("role")
    if any(owners):
        table.add_column("parameter", overflow="fold")
    if several:
        table.add_column("file", overflow="fold")
    for (path, tensor), owner in zip(rows, owners, strict=True):
        cells = [
            visible(tensor.name),
            tensor.dtype.label,
            " x ".join(str(axis) for axis in tensor.shape) or "scalar",
            human_bytes(tensor.dtype.size_bytes(tensor.elements)),
            tensor.role.value,
        ]
        if any(owners):
            cells.append(visible(owner or ""))
        table.add_row(*cells, *([visible(path)] if several else []))
    return table


def _remarks(checkpoint: "Checkpoint") -> list[str]:
    """What is odd, and what could not be read."""
    notes = [("note", note) for note in checkpoint.notes]
    assembled = frozenset[str]().union(*(each.parts for each in checkpoint.assemblies))
    for path, layout in checkpoint.layouts.items():
        if path not in assembled:  # what a part says is said of the whole
            notes.extend(("note", f"{path}: {note}") for note in layout.notes)
    notes.extend(("unread", f"{reason}") for reason in checkpoint.unread.values())
    return [f"[yellow]{kind}[/yellow] {visible(text)}" for kind, text in notes]
