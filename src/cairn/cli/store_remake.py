"""`cairn store remake`: encode what is kept once more, in another profile."""

from collections.abc import Iterable
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
from cairn.cli.targets import RepoTarget, parse_target
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.domain import Blob
    from cairn.store import Profile
    from cairn.workflows.folder_store import FolderStore
    from cairn.workflows.house import House
    from cairn.workflows.pace import Budget, Ending


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run did, and how it ended."""

    blobs: int
    remade: int
    written_bytes: int
    damaged: list[str]
    ending: "Ending"


@click.command()
@click.argument("names", nargs=-1, metavar="[REPO[@REVISION]]...")
@click.option("--all", "everything", is_flag=True, help="All blobs of the store.")
@profile_name
@max_depth
@max_time
@cpu_share
@or_folder
@data_dir
@as_json
def remake(
    names: tuple[str, ...],
    everything: bool,
    profile: str,
    max_depth: int | None,
    max_time: float | None,
    cpu_share: float | None,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Encode what is kept once more: to be read faster, to take less space, in other chains.

    With --store the names are those in the folder. Files and digests do not change, and what the
    blobs took before is freed by the next `cairn store gc`:

        cairn store remake org/model@main --profile fast

    Exits 1 if a blob is damaged (the others are remade all the same), 130 after Ctrl-C.
    """
    from cairn.workflows.folder_store import open_folder
    from cairn.workflows.pace import Budget, Ending

    if bool(names) == everything:
        raise RequestError("name what to remake, or give --all")
    wanted = wanted_profile(profile, max_depth, data)
    house = open_folder(root) if root else open_hub(data)
    blobs = list(house.store.every_blob()) if everything else _named(house, names)
    run = _run(house, blobs, wanted, Budget(max_time_s=max_time, cpu_share=cpu_share))
    if as_json:
        print_json(_described(run))
    else:
        _print(run, profile)
    if run.damaged:
        raise click.exceptions.Exit(1)
    if run.ending is Ending.STOPPED:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def _named(house: "House | FolderStore", names: Iterable[str]) -> "list[Blob]":
    """The distinct blobs that names mean: repos of a hub, or files of a folder."""
    from cairn.workflows.folder_store import FolderStore, find
    from cairn.workflows.remake import blobs_of

    found: dict[object, Blob] = {}
    for name in names:
        if isinstance(house, FolderStore):
            some = [find(house.store, name)]
        else:
            target = parse_target(name)
            if not isinstance(target, RepoTarget):
                raise RequestError(f"{name} is a file or folder here: name a repo")
            some = blobs_of(house, target.repo_id, target.revision)
        found.update((blob.digest, blob) for blob in some)
    return list(found.values())


def _run(
    house: "House | FolderStore", blobs: "list[Blob]", profile: "Profile", budget: "Budget"
) -> _Run:
    from cairn.workflows.pace import Pace
    from cairn.workflows.remake import remake_blobs

    damaged: list[str] = []
    remade = written = 0
    total = sum(blob.size_bytes for blob in blobs)
    with stoppable() as wait, byte_progress("remaking", total) as progress:
        pace = Pace(budget, wait)
        digests = [blob.digest for blob in blobs]
        for done in remake_blobs(
            house, digests, profile, lambda e: damaged.append(str(e)), progress, pace
        ):
            remade += done.rewritten
            written += done.stored_after
    return _Run(len(blobs), remade, written, damaged, pace.ending)


def _described(run: _Run) -> dict[str, Any]:
    return {
        "blobs": run.blobs,
        "remade": run.remade,
        "written_bytes": run.written_bytes,
        "ended": run.ending.value,
        "damaged": run.damaged,
    }


def _print(run: _Run, profile: str) -> None:
    from cairn.workflows.pace import Ending

    console = out()
    for reason in run.damaged:
        console.print(f"DAMAGED {reason}", style="red", markup=False)
    if run.remade:
        console.print(
            f"{run.remade:,} of {run.blobs:,} blobs remade in {human_bytes(run.written_bytes)};"
            " `cairn store gc` frees what they took before"
        )
    elif run.ending is Ending.DONE:
        console.print(f"{run.blobs:,} blobs, and none is better kept for {profile!r}")
    if run.ending is not Ending.DONE:
        console.print("not all were looked at: run it again to go on")
