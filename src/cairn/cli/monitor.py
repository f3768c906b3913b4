"""`cairn monitor`: watches a folder or cache outside the hub."""

import json
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.advisories import shelf_of
from cairn.cli.console import byte_progress
from cairn.cli.interrupting import EXIT_INTERRUPTED, stoppable
from cairn.cli.options import LOCAL_PATH, OneOf
from cairn.cli.quantities import Duration
from cairn.cli.scan import FOUND, FailOn, print_file
from cairn.errors import EntryNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cairn.domain import Source
    from cairn.scanner.confined import ScanProcess
    from cairn.scanner.evidence.base import Evidence
    from cairn.workflows.monitoring import Event, Round
    from cairn.workflows.watched_state import WatchedState

_INTERVAL_S = 60.0
_WAIT_STEP_S = 0.5


@click.command()
@click.argument("path", type=LOCAL_PATH, required=False)
@click.option("--once", is_flag=True, help="Look once and exit, for cron and CI.")
@click.option(
    "--interval",
    type=Duration(),
    default=_INTERVAL_S,
    show_default="60s",
    help="Look again after this long, such as 10m.",
)
@click.option(
    "--fail-on",
    type=OneOf(FailOn),
    help="Exit 1 after a look that finds a file at least this bad (with --once: suspicious).",
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")
def monitor(
    path: Path | None, once: bool, interval: float, fail_on: FailOn | None, as_json: bool
) -> None:
    """Watch a folder or cache outside the hub, and tell what is new, worse, better or gone.

    PATH is the Hugging Face cache unless given (HF_HUB_CACHE, HF_HOME, ~/.cache/huggingface/hub).
    The first look scans everything, later ones what changed; under new rules or advisories what
    was found before is judged again without reading a file. What is remembered lies in
    ~/.local/state/cairn/monitor. Links that lead out of the folder are not followed.

    Example: cairn monitor --once --fail-on malicious
    """
    from cairn.config import hf_cache, user_state_folder
    from cairn.scanner import extraction_version
    from cairn.workflows.watched_state import StateFile

    root = path or hf_cache()
    if not root.is_dir():
        raise EntryNotFoundError(f"{root}: no such folder")
    level = FailOn.SUSPICIOUS if once and fail_on is None else fail_on
    kept = StateFile(user_state_folder() / "monitor", root)
    with kept.held(), stoppable() as stopped:
        state = kept.load(extraction_version())
        while True:
            found = _look(root, state, kept.save, lambda: stopped(0), as_json=as_json)
            if stopped(0):
                raise click.exceptions.Exit(EXIT_INTERRUPTED)
            if level is not None and found.verdict.rank >= _rank(level):
                raise click.exceptions.Exit(FOUND)
            if once:
                return
            if _waited(interval, stopped):
                raise click.exceptions.Exit(EXIT_INTERRUPTED)


def _look(
    root: Path,
    state: "WatchedState",
    save: "Callable[[WatchedState], None]",
    stopped: "Callable[[], bool]",
    *,
    as_json: bool,
) -> "Round":
    """One look at the folder, told as it goes on."""
    from cairn.workflows.monitoring import Round, Watch, look, to_scan
    from cairn.workflows.watched_folder import list_folder

    listing, tally = list_folder(root), Round()
    advisories = shelf_of(None).current()
    waiting = sum(file.size_bytes for file in to_scan(listing, state))
    with closing(_LateProcess()) as process, byte_progress("scanning", waiting) as progress:
        watch = Watch(state, process.gather, advisories, save, progress, stopped)
        for event in look(listing, watch, tally):
            _tell(event, as_json=as_json)
    _tell_round(root, tally, as_json=as_json)
    return tally


class _LateProcess:
    """A scanning process that is started by the first file it is given: most looks need none."""

    def __init__(self) -> None:
        self._process: ScanProcess | None = None

    def gather(self, source: "Source") -> "tuple[Evidence, ...]":
        """See `ScanProcess.gather`."""
        from cairn.scanner.confined import ScanProcess

        if self._process is None:
            self._process = ScanProcess()
        return self._process.gather(source)

    def close(self) -> None:
        """End it, if it was started."""
        if self._process is not None:
            self._process.close()


def _waited(interval_s: float, stopped: "Callable[[float], bool]") -> bool:
    """Wait for the next look; True if a signal came."""
    end = time.monotonic() + interval_s
    while (left := end - time.monotonic()) > 0:
        if stopped(min(_WAIT_STEP_S, left)):
            return True
    return stopped(0)


def _rank(level: FailOn) -> int:
    from cairn.domain import Verdict

    return Verdict(level.value).rank


# --- what is told --------------------------------------------------------------------------


def _tell(event: "Event", *, as_json: bool) -> None:
    if as_json:
        _print_line(_plain(event))
    else:
        _print_event(event)


def _print_event(event: "Event") -> None:
    """A line for what happened; a clean file that is new needs none."""
    from cairn.domain import Verdict
    from cairn.formats.naming import visible

    before = "" if event.before is None else event.before.value
    if event.report is None:
        click.echo(f"gone ({before}): {visible(event.path)}")
    elif event.report.verdict is not Verdict.CLEAN or event.before is not None:
        was = f", was {before}" if before else ""
        click.echo(f"{event.what.value}{was}:")
        print_file(event.report)


def _plain(event: "Event") -> dict[str, Any]:
    from cairn.scanner.reports.plain import file_json

    told: dict[str, Any] = {
        "event": event.what.value,
        "path": event.path,
        "before": None if event.before is None else event.before.value,
    }
    if event.report is not None:
        told |= file_json(event.report)
    return told


def _tell_round(root: Path, tally: "Round", *, as_json: bool) -> None:
    from cairn.domain import Verdict
    from cairn.formats.naming import visible

    counts = {verdict.value: tally.counts[verdict] for verdict in Verdict}
    now = datetime.now(UTC)
    if as_json:
        _print_line(
            {
                "event": "look",
                "at": now.isoformat(timespec="seconds"),
                "files": tally.files,
                "scanned": tally.scanned,
                "counts": counts,
            }
        )
        return
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no files"
    click.echo(
        f"{now:%Y-%m-%d %H:%M:%S} UTC {visible(str(root))}: {told}; {tally.scanned:,} scanned anew"
    )


def _print_line(value: dict[str, Any]) -> None:
    """One line of ASCII: nothing a file says acts on a terminal, nothing waits in a buffer."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()
