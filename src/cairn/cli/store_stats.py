"""`cairn store stats`: what a store takes, and for whom."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir, or_folder
from cairn.cli.plots import plot_file, write_plot

if TYPE_CHECKING:
    from rich.table import Table

    from cairn.store import GroupShare
    from cairn.workflows.stocktaking import Stocktaking

DEFAULT_ROWS = 20


@click.command()
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=0),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Most repos and families shown, largest first.",
)
@plot_file("Draw families, repos, codecs and depths: .svg or .png.")
@or_folder
@data_dir
@as_json
def stats(
    limit: int, plot: Path | None, root: Path | None, data: Path | None, as_json: bool
) -> None:
    """Show logical, unique and stored bytes: in all, by repo, family, codec and depth.

    A family is what model cards connect by `base_model`. What several repos need is counted for
    each of them; "own" is what would be free if one repo, or one family, were gone. "decoded" is
    how many bytes are decoded for each byte read, chains of differences included.
    """
    from cairn.workflows.folder_store import count_folder, open_folder
    from cairn.workflows.stocktaking import take_stock

    with byte_progress("counting", None) as progress:
        if root:
            found = count_folder(open_folder(root), progress)
        else:
            found = take_stock(open_hub(data), progress)
    if plot is not None:
        from cairn.workflows.stock_chart import stock_chart

        write_plot(stock_chart(found).svg(), plot)
    if as_json:
        from cairn.workflows.stocktaking import describe_stock

        print_json(describe_stock(found))
    else:
        _print(found, limit)


def _print(found: "Stocktaking", limit: int) -> None:
    from rich.table import Table

    totals, console = found.totals, out()
    table = Table("", "value", show_header=False)
    table.add_row("blobs", f"{totals.blobs:,}")
    table.add_row("logical", human_bytes(totals.logical_bytes))
    table.add_row("unique", human_bytes(found.unique_bytes))
    table.add_row("stored", human_bytes(totals.stored_bytes))
    if totals.logical_bytes:
        table.add_row("stored / logical", f"{totals.stored_bytes / totals.logical_bytes:.3f}")
    table.add_row("raw", f"{totals.raw_blobs:,} blobs, {human_bytes(totals.raw_bytes)}")
    table.add_row("waiting for optimize", _waiting(found))
    table.add_row("packs, parts", f"{totals.packs:,}, {totals.parts:,}")
    for name, share in totals.by_codec.items():
        kind = "predictor" if name in found.derived_codecs else "codec"
        table.add_row(f"{kind} {name}", _parts(share.parts, share.plain_bytes, share.stored_bytes))
    if found.unique_bytes:
        table.add_row("decoded / read", f"{found.decoded_bytes / found.unique_bytes:.2f}")
    table.add_row("kept to be read fast", f"{found.fast_blobs:,} blobs")
    for depth, share in found.by_depth.items():
        table.add_row(f"depth {depth}", _parts(share.parts, share.plain_bytes, share.stored_bytes))
    if found.unclaimed.blobs:
        lost = found.unclaimed
        table.add_row("held by none", f"{lost.blobs:,} blobs, {human_bytes(lost.own_bytes)}")
    console.print(table)
    for heading, shares in (("family", found.families), ("repo or name", found.groups)):
        if shares:
            console.print(_shares(heading, shares, limit))
        if len(shares) > limit:
            console.print(f"{len(shares) - limit:,} more: --limit shows them, --json all of them")


def _waiting(found: "Stocktaking") -> str:
    held_up = "; paused, `cairn store resume` goes on" if found.paused else ""
    return f"{found.pending:,} blobs{held_up}"


def _parts(parts: int, plain_bytes: int, stored_bytes: int) -> str:
    return f"{parts:,} parts, {human_bytes(plain_bytes)} in {human_bytes(stored_bytes)}"


def _shares(heading: str, shares: Mapping[str, "GroupShare"], limit: int) -> "Table":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column(heading, overflow="fold")
    for column in ("blobs", "logical", "unique", "stored", "own", "stored / logical", "decoded"):
        table.add_column(column, justify="right")
    for name, share in list(shares.items())[:limit]:
        sizes = (share.logical_bytes, share.unique_bytes, share.stored_bytes, share.own_bytes)
        ratio = share.stored_bytes / share.logical_bytes if share.logical_bytes else 0.0
        table.add_row(
            visible(name),
            f"{share.blobs:,}",
            *(human_bytes(size) for size in sizes),
            f"{ratio:.3f}",
            f"x {share.amplification:.1f}",
        )
    return table
