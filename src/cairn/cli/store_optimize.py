"""`cairn store optimize`: rewrite what lies as it landed, within a budget."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json
from cairn.cli.interrupting import EXIT_INTERRUPTED, stoppable
from cairn.cli.kept_hub import open_hub, wanted_profile
from cairn.cli.options import (
    as_json,
    cpu_share,
    data_dir,
    max_depth,
    max_time,
    or_folder,
    profile_name,
)
from cairn.cli.quantities import ByteCount

if TYPE_CHECKING:
    from cairn.domain import Blob
    from cairn.store import Profile
    from cairn.workflows.house import Keeper
    from cairn.workflows.pace import Budget, Ending
    from cairn.workflows.tally import Tally


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run did, how it ended, and what it left."""

    tally: "Tally"
    damaged: list[str]
    ending: "Ending"
    left: "list[Blob]"
    seconds: float
    cpu_seconds: float


@click.command()
@profile_name
@max_depth
@click.option(
    "--max-bytes", type=ByteCount(), help="Begin no further blob after this much, such as 10GB."
)
@max_time
@cpu_share
@or_folder
@data_dir
@as_json
def optimize(
    profile: str,
    max_depth: int | None,
    max_bytes: int | None,
    max_time: float | None,
    cpu_share: float | None,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Rewrite every blob that still lies as it landed; a running hub does this by itself.

    Oldest first. A run that a budget, Ctrl-C or a kill ended loses nothing; the next one goes on
    from there:

        cairn store optimize --max-time 30m --cpu-share 0.5

    Exits 1 if a blob is damaged (the others are optimized all the same), 130 after Ctrl-C.
    """
    from cairn.workflows.folder_store import open_folder
    from cairn.workflows.pace import Budget, Ending

    budget = Budget(max_bytes, max_time, cpu_share)
    wanted = wanted_profile(profile, max_depth, data)
    run = _run(open_folder(root) if root else open_hub(data), wanted, budget)
    if as_json:
        print_json(_described(run))
    else:
        _print(run)
    if run.damaged:
        raise click.exceptions.Exit(1)
    if run.ending is Ending.STOPPED:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def _run(house: "Keeper", profile: "Profile", budget: "Budget") -> _Run:
    from cairn.workflows.optimize import optimize_pending, waiting
    from cairn.workflows.pace import Pace
    from cairn.workflows.tally import Tally

    tally, damaged = Tally(), list[str]()
    total = sum(blob.size_bytes for blob in waiting(house))
    total = min(total, budget.max_bytes or total)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    with stoppable() as wait, byte_progress("optimizing", total) as progress:
        pace = Pace(budget, wait)
        for done in optimize_pending(
            house, lambda e: damaged.append(str(e)), progress, lambda _: profile, pace
        ):
            tally.add(done)
    seconds, cpu_seconds = time.monotonic() - began_s, time.process_time() - began_cpu_s
    return _Run(tally, damaged, pace.ending, waiting(house), seconds, cpu_seconds)


def _described(run: _Run) -> dict[str, Any]:
    return {
        "blobs": run.tally.blobs,
        "plain_bytes": run.tally.plain_bytes,
        "stored_bytes": run.tally.stored_bytes,
        "saved_bytes": run.tally.saved_bytes,
        "seconds": round(run.seconds, 3),
        "cpu_seconds": round(run.cpu_seconds, 3),
        "ended": run.ending.value,
        "left": {"blobs": len(run.left), "bytes": sum(b.size_bytes for b in run.left)},
        "damaged": run.damaged,
    }


def _print(run: _Run) -> None:
    console, tally = out(), run.tally
    for reason in run.damaged:
        console.print(f"DAMAGED {reason}", style="red", markup=False)
    if not tally.blobs and not run.left:
        console.print("no blob waits to be optimized")
        return
    console.print(
        f"{tally.blobs:,} blobs: {human_bytes(tally.plain_bytes)} took"
        f" {human_bytes(tally.stored_bytes)} on disk,"
        f" {human_bytes(tally.saved_bytes)} saved in {run.seconds:.1f} s"
    )
    if run.left:
        bytes_left = human_bytes(sum(blob.size_bytes for blob in run.left))
        console.print(f"{len(run.left):,} blobs of {bytes_left} wait: run it again to go on")
