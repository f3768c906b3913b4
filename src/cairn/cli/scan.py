"""`cairn scan`: what files would do to whoever loads them."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.advisories import shelf_of
from cairn.cli.console import byte_progress, print_ascii_json
from cairn.cli.options import MAIN, OneOf, as_json, data_dir, hub_options
from cairn.cli.targets import LocalTarget, open_kept, parse_repo, parse_target

if TYPE_CHECKING:
    from cairn.domain import FileReport, LoaderFloor, ScanReport, Verdict
    from cairn.scanner.advisories import AdvisoryShelf
    from cairn.scanner.confined import ScanProcess
    from cairn.workflows.scan import Scannable

FOUND = 1
"""Exit code when a file is at or above `--fail-on`."""

_SHOWN_FINDINGS = 20
_COLOURS = {"clean": "green", "suspicious": "yellow", "malicious": "red"}
_OTHER_COLOUR = "magenta"  # unread and malformed: nobody knows


class FailOn(StrEnum):
    """The least verdict that fails, from the strictest."""

    UNREAD = "unread"
    MALFORMED = "malformed"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"


@click.command()
@click.argument("target", help="A file, a folder, or a repo of this hub: org/name@revision.")
@click.option(
    "--fail-on",
    type=OneOf(FailOn),
    default=FailOn.UNREAD.value,
    show_default=True,
    help="The least verdict that makes the command exit 1.",
)
@click.option("--sarif", "as_sarif", is_flag=True, help="Print SARIF 2.1.0 instead of text.")
@hub_options
@data_dir
@as_json
def scan(
    target: str,
    fail_on: FailOn,
    hub: str | None,
    token: str | None,
    data: Path | None,
    as_sarif: bool,
    as_json: bool,
) -> None:
    """Say of every file whether loading it is safe, and why not. Nothing is run or imported.

    Verdicts, from the best: clean, unread, malformed, suspicious, malicious. Only what was read
    whole and found harmless is clean. Exits 0 when every file is better than --fail-on, 1 when
    one is not; 2 when the command makes no sense, 3 when there is no such file, folder or repo.

    With --hub the verdicts are those of that hub, waivers heeded: nothing is downloaded or
    scanned here. Who would rather believe nobody downloads the files and scans the folder.

    Example: cairn scan ~/Downloads/model --fail-on suspicious
    """
    if as_json and as_sarif:
        raise click.UsageError("--json and --sarif are two forms of one report: give one")
    report, by = _told_by(hub, token, target) if hub else _scanned_here(target, data)
    if as_json:
        from cairn.scanner.reports import as_json as plain

        print_ascii_json({**plain(report), **by})
    elif as_sarif:
        from cairn import __version__
        from cairn.scanner.reports import as_sarif as sarif

        print_ascii_json(sarif(report, __version__))
    else:
        _print(report)
    if report.verdict.rank >= _verdict(fail_on).rank:
        raise click.exceptions.Exit(FOUND)


def _scanned_here(target: str, data: Path | None) -> "tuple[ScanReport, dict[str, Any]]":
    from cairn.scanner.confined import ScanProcess, fork, spawn

    # A copy of this process starts faster; one that opened a hub has its secrets and threads.
    start = fork if isinstance(parse_target(target), LocalTarget) else spawn
    with ScanProcess(start=start) as process:  # gets ready while the files are looked up
        report = _scanned(*_files(target, data), process)
        return report, {"confined": process.held}


def _told_by(hub: str, token: str | None, target: str) -> "tuple[ScanReport, dict[str, Any]]":
    from cairn.hub.remote import RemoteHub
    from cairn.hub.remote_scan import remote_report

    name, _, revision = target.partition("@")
    report = remote_report(RemoteHub(hub, token), parse_repo(name), revision or MAIN)
    return report, {"hub": hub}


def _files(text: str, data: Path | None) -> "tuple[Scannable, AdvisoryShelf]":
    """What to scan, and the advisories that hold for it: a hub's for its repos, else one's own."""
    from cairn.workflows.scan import local_files, repo_files

    target = parse_target(text)
    if isinstance(target, LocalTarget):
        return local_files(target.path), shelf_of(None)
    house, operator = open_kept(text, data)
    files = repo_files(house, operator, target.repo_id, target.revision)
    return files, house.advisories


def _scanned(files: "Scannable", shelf: "AdvisoryShelf", process: "ScanProcess") -> "ScanReport":
    from cairn.workflows.scan import scan as scan_files
    from cairn.workflows.scan import total_bytes

    with byte_progress("scanning", total_bytes(files)) as progress:
        return scan_files(files, process.gather, progress, shelf.current())


def _verdict(level: FailOn) -> "Verdict":
    from cairn.domain import Verdict

    return Verdict(level.value)


# --- for people ----------------------------------------------------------------------------


def _print(report: "ScanReport") -> None:
    """A line for each file that is not clean with its findings below, then the counts.

    Plain lines and not a table: paths and reasons are long, and rich takes as long to load as
    a small file to scan.
    """
    from cairn.domain import Verdict
    from cairn.formats.naming import visible

    for file in report.files:
        print_file(file)
    counts = [
        (sum(file.verdict is verdict for file in report.files), verdict) for verdict in Verdict
    ]
    if not report.files:
        click.echo("there is no file to scan")
        return
    told = ", ".join(f"{count:,} {_coloured(verdict.value)}" for count, verdict in counts if count)
    files = "1 file" if len(report.files) == 1 else f"{len(report.files):,} files"
    click.echo(f"{files}: {told}")
    for floor, concerned in _floors(report).items():
        click.echo(visible(f"safe to load only with {floor} ({concerned:,} of the files)"))
    if report.verdict is not Verdict.CLEAN:
        click.echo("`cairn rules NAME` explains what is in brackets; --json has everything")


def _floors(report: "ScanReport") -> "Counter[LoaderFloor]":
    """Which releases load these files without known flaws, and how many files that concerns."""
    return Counter(floor for file in report.files for floor in file.loaders)


def print_file(file: "FileReport") -> None:
    """Verdict and path of a file, what was found in it below, and what to do."""
    from cairn.formats.naming import visible

    form = f" ({file.forms[-1]})" if file.forms else ""
    click.echo(f"{_coloured(f'{file.verdict.value:<10}')} {visible(file.path + form)}")
    ordered = sorted(file.findings, key=lambda finding: -finding.verdict.rank)
    for finding in ordered[:_SHOWN_FINDINGS]:
        words = f"{finding.message} — {finding.place} [{finding.rule}]"
        click.echo(f"  {visible(words)}")
        if finding.excerpt:
            click.echo(f"    {visible(finding.excerpt)}")
    if len(ordered) > _SHOWN_FINDINGS:
        click.echo(f"  and {len(ordered) - _SHOWN_FINDINGS:,} more")
    for advice in dict.fromkeys(one.advice for one in ordered if one.advice):
        click.echo(f"  → {visible(advice)}")


def _coloured(text: str) -> str:
    return click.style(text, fg=_COLOURS.get(text.strip(), _OTHER_COLOUR))
