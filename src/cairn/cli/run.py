"""`cairn run`: training runs with their checkpoints, curves and the point they go on from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import err, out, print_ascii_json, visible
from cairn.cli.options import as_json, data_dir
from cairn.cli.run_launch import launch
from cairn.cli.run_push import at_hub, fetch, is_place, place_at, push, with_token
from cairn.cli.run_resume import resume
from cairn.cli.run_verify import verify
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.workflows.kept_runs import KeptRun
    from cairn.workflows.run_conditions import Changed

_RUN_HELP = "A folder, a repo of the hub here (org/name@revision), hub:org/name, store:FOLDER/NAME."

_MOST_DATA_BYTES = 256 << 20
"""Of data that `show` reads to compare them: a second."""


@click.group(no_args_is_help=True)
def run() -> None:
    """Training runs: list, show, compare, and go on with one."""


for command in (resume, push, fetch, verify, launch):
    run.add_command(command)


@run.command("list")
@click.argument("folder", default=".", help="A folder, or store:FOLDER for those in a store.")
@as_json
def list_runs(folder: str, as_json: bool) -> None:
    """List the runs at and below a folder, or in a store."""
    from cairn.workflows.local_runs import local_runs
    from cairn.workflows.run_description import describe_listed
    from cairn.workflows.run_fetching import store_runs
    from cairn.workflows.run_places import STORE

    in_store = folder.startswith(STORE)
    place = Path(folder.removeprefix(STORE))
    found = [(str(name), kept) for name, kept in (store_runs if in_store else local_runs)(place)]
    if as_json:
        print_ascii_json([describe_listed(name, kept) for name, kept in found])
    elif not found:
        err().print(f"no training run is in {visible(folder)}")
    else:
        from cairn.cli.run_show import listing

        out().print(listing(found))


@run.command()
@click.argument("target", metavar="RUN", help=_RUN_HELP)
@at_hub
@with_token
@data_dir
@as_json
def show(target: str, hub: str | None, token: str | None, data: Path | None, as_json: bool) -> None:
    """Show a run: how it stands, checkpoints, curves, where it goes on, what is otherwise now.

    Nothing is run. Threads and flags are not compared here: the program sets them, and says so when
    it resumes.
    """
    from cairn.workflows.run_description import describe_run

    kept = read_run_target(target, data, hub, token)
    changed = _changed(target, kept)
    if as_json:
        print_ascii_json(describe_run(kept, changed))
    else:
        from cairn.cli.run_show import print_run

        print_run(out(), kept, changed)


@run.command()
@click.argument("targets", metavar="RUNS...", nargs=-1, required=True, help=_RUN_HELP)
@at_hub
@with_token
@data_dir
@as_json
def compare(
    targets: tuple[str, ...], hub: str | None, token: str | None, data: Path | None, as_json: bool
) -> None:
    """Compare runs with the first of them: recipe, data, environment, and where curves part."""
    from dataclasses import asdict

    from cairn.workflows.run_comparison import compare_runs
    from cairn.workflows.run_description import describe_run

    if len(targets) < 2:
        raise RequestError("name two runs or more")
    found = compare_runs([read_run_target(one, data, hub, token) for one in targets])
    if not as_json:
        from cairn.cli.run_show import print_comparison

        print_comparison(out(), found)
        return
    print_ascii_json(
        {
            "schema": 1,
            "runs": [describe_run(one, None) for one in found.runs],
            "unlike": [asdict(row) for row in found.unlike],
            "partings": {
                name: [asdict(one) for one in partings] for name, partings in found.partings.items()
            },
        }
    )


def read_run_target(text: str, data: Path | None, hub: str | None, token: str | None) -> "KeptRun":
    """The run in a folder of this machine, in a store, or in a repo of a hub, kept here or not.

    Raises:
        NotFoundError: it is not there. UntrustedDataError: it cannot be read.
    """
    from cairn.cli.targets import LocalTarget, open_kept, parse_target
    from cairn.workflows.local_runs import local_run
    from cairn.workflows.run_fetching import placed_run

    if is_place(text):
        return placed_run(place_at(text, hub, token))[0]
    target = parse_target(text)
    if isinstance(target, LocalTarget):
        return local_run(target.path)
    from cairn.workflows.repo_runs import repo_run

    house, operator = open_kept(text, data)
    return repo_run(house, operator, target.repo_id, target.revision)


def _changed(target: str, kept: "KeptRun") -> "Sequence[Changed] | None":
    """What is otherwise where the run was trained; None where that is elsewhere.

    Of a run that somebody else may have written nothing is looked for: its record would say where.
    """
    from cairn.provenance.run_seal import is_own
    from cairn.workflows.run_conditions import changed
    from cairn.workflows.run_restart import working_folder

    if kept.record is None or kept.is_live is None or not is_own(Path(target), kept.record):
        return None
    session = kept.record.sessions[-1]
    place = working_folder(Path(target), session)
    return changed(kept.record, session, place, most_data_bytes=_MOST_DATA_BYTES)
