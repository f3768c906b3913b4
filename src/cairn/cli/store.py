"""`cairn store`: look after the bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir

if TYPE_CHECKING:
    from cairn.workflows.damage import Damage


@click.group(no_args_is_help=True)
def store() -> None:
    """Statistics, verification, garbage collection."""


def print_damage(word: str, damaged: "Iterable[Damage]") -> None:
    """A line for each blob, and one for each file that it is."""
    for damage in damaged:
        out().print(f"{word} {damage.digest.hex}: {damage.reason}", style="red", markup=False)
        for place in damage.locations:
            out().print(f"  {place}", markup=False)
        if not damage.locations:
            out().print("  no revision needs it")


@store.command()
@data_dir
@as_json
def stats(data: Path | None, as_json: bool) -> None:
    """Show what the store holds, in logical and in stored bytes."""
    from dataclasses import asdict

    from rich.table import Table

    from cairn.workflows.maintain import store_stats

    house = open_hub(data)
    found = store_stats(house)
    pending = sum(1 for _ in house.store.pending())
    if as_json:
        print_json({"pending": pending, **asdict(found)})
        return
    table = Table("", "value", show_header=False)
    table.add_row("blobs", f"{found.blobs:,}")
    table.add_row("logical", human_bytes(found.logical_bytes))
    table.add_row("stored", human_bytes(found.stored_bytes))
    if found.logical_bytes:
        table.add_row("stored / logical", f"{found.stored_bytes / found.logical_bytes:.3f}")
    table.add_row("raw", f"{found.raw_blobs:,} blobs, {human_bytes(found.raw_bytes)}")
    table.add_row("waiting for optimize", f"{pending:,} blobs")
    table.add_row("packs, parts", f"{found.packs:,}, {found.parts:,}")
    for codec, share in sorted(found.by_codec.items()):
        table.add_row(
            f"codec {codec}",
            f"{share.parts:,} parts, {human_bytes(share.plain_bytes)} in"
            f" {human_bytes(share.stored_bytes)}",
        )
    out().print(table)


@store.command()
@data_dir
@as_json
def verify(data: Path | None, as_json: bool) -> None:
    """Read every blob back and compare it with its SHA-256; exit 1 if one is bad or lost.

    Of each bad one the repos, revisions and files that need it are named.
    """
    from cairn.workflows.damage import located
    from cairn.workflows.maintain import store_stats, verify_store

    house = open_hub(data)
    with byte_progress("verifying", store_stats(house).logical_bytes) as progress:
        result = verify_store(house, progress)
    bad = located(house, result.bad)
    if as_json:
        print_json(
            {
                "checked": result.checked,
                "bytes": result.bytes,
                "bad": [damage.as_json() for damage in bad],
            }
        )
    else:
        print_damage("BAD", bad)
        out().print(f"{result.checked:,} blobs, {human_bytes(result.bytes)}: {len(result.bad)} bad")
    if result.bad:
        raise click.exceptions.Exit(1)


@store.command()
@data_dir
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Keep unreferenced blobs younger than this (default: CAIRN_GC_GRACE_S, a day).",
)
@as_json
def gc(data: Path | None, grace: float | None, as_json: bool) -> None:
    """Remove blobs that no revision needs. Safe beside a running hub."""
    from dataclasses import asdict

    from cairn.config import load_settings
    from cairn.workflows.damage import located
    from cairn.workflows.maintain import collect_garbage

    house = open_hub(data)
    grace_s = load_settings(data_dir=data).gc_grace_s if grace is None else grace
    result = collect_garbage(house, grace_s)
    damaged = located(house, result.damaged)
    if as_json:
        print_json({**asdict(result), "damaged": [damage.as_json() for damage in damaged]})
        return
    out().print(
        f"removed {result.blobs:,} blobs and {result.packs_removed:,} packs, rewrote"
        f" {result.packs_rewritten:,}; freed {human_bytes(result.freed_bytes)}"
    )
    if result.packs_condemned:
        out().print(f"{result.packs_condemned:,} packs go at the next run, when no reader is left")
    print_damage("DAMAGED", damaged)
    if damaged:
        out().print("packs were left alone: run `cairn store repair`")


@store.command()
@data_dir
@click.option(
    "--profile",
    type=click.Choice(["fast", "small"]),
    default="small",
    show_default=True,
    help="Read twice as fast, or take less space: see docs/store.md.",
)
@as_json
def optimize(data: Path | None, profile: str, as_json: bool) -> None:
    """Rewrite every blob that still lies as it landed; a running hub does this by itself.

    Exits 1 if a blob is damaged; the others are optimized all the same.
    """
    from cairn.store import PROFILES
    from cairn.workflows.optimize import optimize_pending

    house = open_hub(data)
    kept_for = PROFILES[profile]
    plain = stored = count = 0
    damaged: list[str] = []
    waiting_bytes = sum(house.store.blob(digest).size_bytes for digest in house.store.pending())
    with byte_progress("optimizing", waiting_bytes) as progress:
        told = damaged.append
        for done in optimize_pending(house, lambda e: told(str(e)), progress, kept_for):
            count += 1
            plain += done.blob.size_bytes
            stored += done.stored_after
    if as_json:
        print_json(
            {"blobs": count, "plain_bytes": plain, "stored_bytes": stored, "damaged": damaged}
        )
    else:
        for reason in damaged:
            out().print(f"DAMAGED {reason}", style="red")
        out().print(f"{count:,} blobs: {human_bytes(plain)} took {human_bytes(stored)} on disk")
    if damaged:
        raise click.exceptions.Exit(1)
