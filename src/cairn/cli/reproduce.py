"""`cairn reproduce`: train again as a record says, and say whether the same comes out."""

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

import click

from cairn.cli.console import err, out, print_ascii_json, visible
from cairn.cli.options import LOCAL_PATH, as_json
from cairn.cli.run_push import at_hub, fetch_into, is_place, place_at, with_token
from cairn.cli.run_resume import check_trusted, directory, recorded, trust_code
from cairn.cli.signers import SignerOptions, signer_options
from cairn.errors import InexactError, UnavailableError

if TYPE_CHECKING:
    from cairn.domain import RunRecord, TrainingSession
    from cairn.workflows.run_conditions import Changed

REPORT, BUNDLE = "reproduction.json", "reproduction.sig"


@click.command()
@click.argument(
    "target", metavar="RUN", help="A folder; or hub:org/name, store:FOLDER/NAME to fetch first."
)
@click.option(
    "--into",
    type=LOCAL_PATH,
    metavar="DIR",
    help="Empty folder for what is trained now (default: RUN-again).",
)
@directory
@trust_code
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Relative difference that still is equal (default: 0.0001).",
)
@click.option(
    "--until-step",
    "until",
    type=click.IntRange(1),
    metavar="N",
    help="Train and compare no further than this step.",
)
@click.option("--exact", is_flag=True, help="Exit with 1 also if equal within tolerance alone.")
@click.option(
    "--allow",
    metavar="NAME",
    multiple=True,
    help="Train although this is otherwise than then: program, code, or data.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be executed; execute nothing.")
@signer_options
@at_hub
@with_token
@as_json
def reproduce(
    target: str,
    into: Path | None,
    directory: Path | None,
    trust_code: bool,
    tolerance: float | None,
    until: int | None,
    exact: bool,
    allow: tuple[str, ...],
    dry_run: bool,
    key: Path | None,
    certificate: Path | None,
    sigstore: Path | None,
    identity_token: Path | None,
    hub: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Train a run again in a new folder, and say whether the same comes out.

    This runs code: the command in the run's record, with your rights, and it takes as long as
    training did. A run that did not begin here needs --trust-code: read the command with --dry-run
    before. Losses are compared step by step, and the tensors of the last step that both kept. As
    many processes train as then, started on this machine by torchrun.

    The report is written to the new folder as reproduction.json and, with a key or an identity,
    signed as reproduction.sig.

    Exit codes: 0 identical, or equal within tolerance; 1 different; 4 program, source or data are
    not those of the run; 5 the run did not begin here; 8 the program failed.
    """
    from cairn.workflows import reproducing
    from cairn.workflows.local_runs import local_run
    from cairn.workflows.run_conditions import changed
    from cairn.workflows.run_restart import execute, working_folder

    options = SignerOptions(key, certificate, sigstore, identity_token)
    signer = options.signer() if options.is_any else None  # asked for before hours of training
    folder = Path(target)
    if is_place(target):
        folder = Path(target.rpartition("/")[2])
        fetch_into(place_at(target, hub, token), folder, None)
    original = local_run(folder)
    record = recorded(original)
    session = reproducing.session_to_repeat(record)
    place = directory or working_folder(folder, session)
    fresh = into or folder.resolve().with_name(f"{folder.resolve().name}-again")
    start, run_folder = reproducing.start_again(session, place, fresh, until)
    if dry_run:
        told = {"command": list(start.command), "directory": str(place)}
        print_ascii_json(told) if as_json else out().print(visible(join(start.command)))
        return
    check_trusted(folder, record, trusted=trust_code)
    different = changed(record, session, place)
    _check_binding(different, allow)
    _warn(record, session, different)
    err().print(f"in {visible(str(place))}: {visible(join(start.command))}", soft_wrap=True)
    code = execute(start, quiet=True)
    if code:
        raise UnavailableError(f"the program ended with exit code {code}: nothing was compared")
    limit = reproducing.DEFAULT_TOLERANCE if tolerance is None else tolerance
    found = reproducing.compare_again(original, folder, run_folder, limit, until)

    from cairn.workflows.reproduction_report import describe_reproduction, in_words, statement

    report = describe_reproduction(found, different)
    (fresh / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    if signer is not None:
        (fresh / BUNDLE).write_bytes(signer.sign(statement(found, report)).as_bytes())
    if as_json:
        print_ascii_json({**report, "report": str(fresh / REPORT), "signed": signer is not None})
    else:
        for line in in_words(found, different):
            out().print(visible(line))
        signed = f", signed in {BUNDLE}" if signer else ", not signed"
        err().print(f"the report is {visible(str(fresh / REPORT))}{signed}")
    worst = reproducing.Outcome.IDENTICAL if exact else reproducing.Outcome.WITHIN_TOLERANCE
    order = list(reproducing.Outcome)
    click.get_current_context().exit(int(order.index(found.outcome) > order.index(worst)))


def _check_binding(different: "Sequence[Changed]", allow: Sequence[str]) -> None:
    """Refuse to call something a reproduction that trains other code on other data.

    Raises:
        InexactError: nobody said that it may.
    """
    from cairn.workflows.reproducing import BINDING

    refused = [
        one
        for one in different
        if one.name.partition(" ")[0] in (*BINDING, "data")
        and not {one.name.partition(" ")[0], "everything"} & set(allow)
    ]
    if refused:
        names = dict.fromkeys(one.name.partition(" ")[0] for one in refused)
        advice = " ".join(f"--allow {name}" for name in names)
        raise InexactError(
            f"this would not train the same: {'; '.join(map(str, refused))}; nothing was executed:"
            f" bring back what was, or train all the same with {advice}",
            tuple(map(str, refused)),
        )


def _warn(record: "RunRecord", session: "TrainingSession", different: "Sequence[Changed]") -> None:
    """What makes identical bits unlikely, before hours go into it."""
    for one in different:
        err().print(f"[yellow]otherwise than then[/yellow] {visible(str(one))}")
    if record.seed is None:
        err().print("[yellow]note[/yellow] the record names no seed")
    if session.environment.get("code") is None and session.recipe.kind.value == "script":
        err().print("[yellow]note[/yellow] no commit of the source was recorded, only its script")
    for data in record.data:
        if data.digest is None:
            err().print(f"[yellow]note[/yellow] data without a digest: {visible(data.where)}")
