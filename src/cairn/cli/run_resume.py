"""`cairn run resume`: executes the program of a run again, for whoever may have it executed."""

from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import err, out, print_ascii_json, visible
from cairn.cli.options import LOCAL_PATH, as_json
from cairn.cli.run_push import at_hub, fetch_into, is_place, place_at, with_token
from cairn.errors import ConflictError, ForbiddenError, InexactError, RequestError

if TYPE_CHECKING:
    from cairn.domain import RunRecord
    from cairn.workflows.kept_runs import KeptRun

trust_code = click.option(
    "--trust-code",
    is_flag=True,
    help="Execute the recorded command although this person did not begin the run here.",
)
directory = click.option(
    "--directory",
    type=LOCAL_PATH,
    metavar="DIR",
    help="The folder the program is started in (default: where it was, seen from the run).",
)


@click.command()
@click.argument(
    "target", metavar="RUN", help="A folder; or hub:org/name, store:FOLDER/NAME to fetch first."
)
@click.option(
    "--into",
    type=LOCAL_PATH,
    metavar="DIR",
    help="Where a run is fetched to (default: a folder of its name here).",
)
@at_hub
@with_token
@click.option("--step", type=click.IntRange(min=0), help="Go on after this step, not the newest.")
@click.option(
    "--allow",
    metavar="NAME",
    multiple=True,
    help="Go on although this differs, such as threads or program; `everything` is a name too.",
)
@directory
@trust_code
@click.option("--dry-run", is_flag=True, help="Say what would be executed; execute nothing.")
@as_json
def resume(
    target: str,
    into: Path | None,
    hub: str | None,
    token: str | None,
    step: int | None,
    allow: tuple[str, ...],
    directory: Path | None,
    trust_code: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Execute the program of a run again, which goes on after its newest whole checkpoint.

    This runs code: the command in the record, with your rights. The exit code is the program's. A
    run that did not begin here needs --trust-code: read the command with --dry-run before.
    """
    from cairn.workflows.local_runs import local_run
    from cairn.workflows.run_restart import execute, start_of, working_folder

    folder = Path(target)
    if is_place(target):
        folder = into or Path(target.rpartition("/")[2])
        fetch_into(place_at(target, hub, token), folder, step)
    kept = local_run(folder)
    record = recorded(kept)
    if kept.is_live:
        raise ConflictError(f"a process is writing {folder}: wait for its end, or stop it")
    session = record.sessions[-1]
    place = directory or working_folder(folder, session)
    if step is None:
        step = _point(kept)
    elif step not in (there := [one.step for one in kept.steps]):
        has = ", ".join(map(str, there)) or "none"
        raise RequestError(f"{folder} has no checkpoint of step {step}, only {has}")
    start = start_of(session, place, into=folder, step=step, allow=allow)
    told: dict[str, Any] = {
        "command": list(start.command),
        "directory": str(place),
        "from_step": step,
    }
    if dry_run:
        print_ascii_json(told) if as_json else out().print(visible(join(start.command)))
        return
    check_trusted(folder, record, trusted=trust_code)
    _check_program(kept, place, allow)
    err().print(f"in {visible(str(place))}: {visible(join(start.command))}", soft_wrap=True)
    code = execute(start, quiet=as_json)
    if as_json:
        after = local_run(folder)
        status = after.status.value if after.status else None
        print_ascii_json(
            {**told, "exit_code": code, "status": status, "last_step": after.last_step}
        )
    click.get_current_context().exit(code)


def recorded(kept: "KeptRun") -> "RunRecord":
    """The record of a run; RequestError where checkpoints are all there is."""
    if kept.record is None:
        raise RequestError(
            f"{kept.name} has checkpoints and no record of how they were made: start the program"
            " yourself, it goes on from them"
        )
    return kept.record


def check_trusted(folder: Path, record: "RunRecord", *, trusted: bool) -> None:
    """Refuse to execute what somebody else may have written.

    Raises:
        ForbiddenError: the run did not begin here, and nobody says that it may run.
    """
    from cairn.provenance.run_seal import is_own

    if not trusted and not is_own(folder, record):
        raise ForbiddenError(
            f"{folder} was not begun here by you, and its record names a command that would run"
            " with your rights: read it with --dry-run, then say --trust-code"
        )


def _point(kept: "KeptRun") -> int | None:
    """The step to go on from where the newest one cannot be; None: the newest, or anew."""
    point = kept.resume_point
    if point is None or point is kept.steps[-1]:
        return None
    err().print(
        f"[yellow]note[/yellow] step {kept.steps[-1].step} cannot be resumed, going on after step"
        f" {point.step}"
    )
    return point.step


def _check_program(kept: "KeptRun", place: Path, allow: Sequence[str]) -> None:
    from cairn.workflows.run_conditions import changed

    record = recorded(kept)
    found = [c for c in changed(record, record.sessions[-1], place) if c.name == "program"]
    if found and not {"program", "everything"} & set(allow):
        raise InexactError(
            f"another program than the one that trained: {found[0]}; go on all the same with"
            " --allow program",
            (str(found[0]),),
        )
