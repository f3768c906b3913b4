"""`cairn run verify`: whether somebody trusted says that a run was reproduced."""

from datetime import UTC, datetime
from pathlib import Path

import click

from cairn.cli.console import out, print_ascii_json, visible
from cairn.cli.options import LOCAL_PATH, as_json
from cairn.cli.verify import trust_options, trusted_by


@click.command()
@click.argument("report", metavar="REPORT", type=LOCAL_PATH)
@click.option(
    "--run", "folder", type=LOCAL_PATH, metavar="DIR", help="Check that it is about this run."
)
@trust_options
@as_json
def verify(
    report: Path,
    folder: Path | None,
    keys: tuple[Path, ...],
    roots: tuple[Path, ...],
    identity: str,
    sigstore: Path | None,
    issuer: str,
    as_json: bool,
) -> None:
    """Check who signed the report of a reproduction (reproduction.sig), and say what it says.

    Exit codes: 0 somebody trusted signed it, and it is about the run; 1 not; 3 there is no report;
    6 it is malformed.
    """
    from cairn.workflows.local_runs import local_run
    from cairn.workflows.report_check import check_report

    trusted = trusted_by(keys, roots, sigstore, identity, issuer)
    kept = None if folder is None else local_run(folder)
    found = check_report(report, trusted, datetime.now(UTC), kept)
    signature = found.signature
    if as_json:
        print_ascii_json(
            {
                "schema": 1,
                "verified": found.is_verified,
                "signature": signature.standing.value,
                "signer": signature.signer,
                "reason": signature.reason,
                "about_run": found.is_about_run,
                "report": dict(found.report),
            }
        )
    else:
        out().print(visible(f"signature: {signature.standing.value}, {signature.signer}"))
        if signature.reason:
            out().print(visible(signature.reason))
        if found.is_about_run is not None:
            what = "about the checkpoints of" if found.is_about_run else "not about"
            out().print(visible(f"{what} {folder}"))
        out().print(visible(f"it says: {found.report.get('outcome')}"))
    click.get_current_context().exit(0 if found.is_verified else 1)
