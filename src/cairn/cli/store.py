"""`cairn store`: look after the bytes."""

from pathlib import Path

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.damaged_files import print_damage
from cairn.cli.family_listing import verify_family
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import LOCAL_PATH, as_json, data_dir, or_folder
from cairn.cli.store_family import export_family, import_family
from cairn.cli.store_files import add, get, ls, rm
from cairn.cli.store_optimize import optimize
from cairn.cli.store_pause import pause, resume
from cairn.cli.store_prune import prune
from cairn.cli.store_remake import remake
from cairn.cli.store_repair import repair
from cairn.cli.store_stats import stats


@click.group(no_args_is_help=True)
def store() -> None:
    """Statistics, verification, repair, garbage collection."""


for command in (
    stats, optimize, remake, pause, resume, add, get, ls, rm, prune, repair,
    export_family, import_family,
):  # fmt: skip
    store.add_command(command)


@store.command()
@click.argument("family", metavar="[FAMILY_FILE]", required=False, type=LOCAL_PATH)
@click.option(
    "--sample",
    "share",
    type=float,
    metavar="SHARE",
    help="Read a random share of the blobs, such as 0.05, instead of all.",
)
@click.option("--seed", type=int, help="Draw the same sample again.")
@or_folder
@data_dir
@as_json
def verify(
    family: Path | None,
    share: float | None,
    seed: int | None,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Read every blob back and compare it with its SHA-256; exit 1 if one is bad or lost.

    Of each bad one the repos, revisions and files that need it are named. A family file that
    `cairn store export` wrote is read in place of a store.
    """
    if family is not None:
        verify_family(family, as_json=as_json)
        return
    from cairn.store import Sample
    from cairn.workflows.damage import located
    from cairn.workflows.folder_store import damage_of, open_folder
    from cairn.workflows.maintain import verify_store

    sample = None if share is None else Sample(share, seed)
    house = None if root else open_hub(data)
    kept = house.store if house else open_folder(root or Path()).store
    total = int(kept.stats().logical_bytes * (share or 1))
    with byte_progress("verifying", total) as progress:
        if house:
            result = verify_store(house, progress, sample)
        else:
            result = kept.verify(None, progress, sample)
    bad = located(house, result.bad) if house else damage_of(kept, result.bad)
    unnamed = [str(error) for error in kept.names.survey()[1]]
    if as_json:
        print_json(
            {
                "checked": result.checked,
                "bytes": result.bytes,
                "bad": [damage.as_json() for damage in bad],
                "bad_names": unnamed,
            }
        )
    else:
        print_damage("BAD", bad)
        for problem in unnamed:
            out().print(f"[bold red]BAD NAME[/] {visible(problem)}")
        out().print(f"{result.checked:,} blobs, {human_bytes(result.bytes)}: {len(result.bad)} bad")
        if result.bad:
            out().print("`cairn store repair` heals what a copy is found of")
    if result.bad or unnamed:
        raise click.exceptions.Exit(1)


@store.command()
@data_dir
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Keep unreferenced blobs younger than this"
    " (default: CAIRN_GC_GRACE_S, a day; none in a folder).",
)
@or_folder
@as_json
def gc(data: Path | None, grace: float | None, root: Path | None, as_json: bool) -> None:
    """Remove blobs that no revision and no name needs.

    Safe beside a running hub, with a grace longer than any commit takes: seconds are enough.
    """
    from dataclasses import asdict

    from cairn.config import load_settings
    from cairn.workflows.damage import located
    from cairn.workflows.folder_store import (
        check_not_of_hub,
        collect_folder,
        damage_of,
        open_folder,
    )
    from cairn.workflows.maintain import collect_garbage

    if root:
        kept = open_folder(root).store
        check_not_of_hub(kept, root)
        result = collect_folder(kept, grace or 0.0)
        damaged = damage_of(kept, result.damaged)
    else:
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
