"""`cairn rescan`: how far a hub is with judging what it keeps by new rules, or doing it now."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import count_progress, out, print_json
from cairn.cli.interrupting import EXIT_INTERRUPTED, stoppable
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir

if TYPE_CHECKING:
    from cairn.workflows.house import House
    from cairn.workflows.rejudging import RescanProgress

_BAR_CELLS = 30
_STEP_S = 1.0


@click.command()
@click.option("--now", is_flag=True, help="Judge here until nothing is left, and do not wait.")
@click.option("--watch", is_flag=True, help="Show how the hub's worker gets on until it is done.")
@data_dir
@as_json
def rescan(now: bool, watch: bool, data: Path | None, as_json: bool) -> None:
    """Show how far a hub is with judging its files by new rules.

    Rules and advisories judge what scans noted, so no file is read. A running hub does that by
    itself; --now does it here, beside it or without it. Either may be interrupted at any time.

    Example: cairn rescan --now --data cairn-data
    """
    from cairn.workflows.rejudging import rescan_progress

    if now and watch:
        raise click.UsageError("--now does it, --watch looks on: give one")
    house = open_hub(data)
    if (now or watch) and not _go_on(house, here=now):
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    progress = rescan_progress(house)
    if as_json:
        print_json(None if progress is None else plain(progress))
    elif progress is None:
        out().print("this hub has not scanned anything: see CAIRN_SCAN_POLICY")
    else:
        _print(progress)


def plain(progress: "RescanProgress") -> dict[str, object]:
    """The same as JSON values."""
    return {
        "rules": progress.rules,
        "extraction": progress.extraction,
        "since": progress.since.isoformat(),
        "total": progress.total,
        "done": progress.done,
        "percent": progress.percent,
        "unread_blobs": progress.unread_blobs,
        "eta_s": progress.eta_s,
        "active": progress.active,
    }


def _go_on(house: "House", *, here: bool) -> bool:
    """Until nothing waits to be judged; False if it was interrupted."""
    from cairn.workflows.rejudging import Rescans, rescan_progress

    rescans = Rescans(house)
    ours = here and rescans.take_turn()
    progress = rescan_progress(house)
    if progress is None:
        return True
    try:
        with stoppable() as stopped, count_progress("judging", progress.total) as advance:
            shown = 0
            while True:
                advance(progress.done - shown)
                shown = progress.done
                if progress.done >= progress.total:
                    return True
                if ours:
                    for _ in rescans.judge(_STEP_S):
                        pass  # the catalog keeps what changed
                if stopped(0 if ours else _STEP_S):
                    return False
                ours = here and rescans.take_turn()
                progress = rescan_progress(house) or progress
    finally:
        rescans.end_turn()


def _print(progress: "RescanProgress") -> None:
    filled = _BAR_CELLS * progress.percent // 100
    bar = "█" * filled + "░" * (_BAR_CELLS - filled)
    left = "" if progress.eta_s is None else f", {_duration(progress.eta_s)} left"
    out().print(
        f"{bar} {progress.percent} %  {progress.done:,} of {progress.total:,} judged by rules"
        f" {progress.rules} (since {progress.since:%Y-%m-%d %H:%M} UTC{left})",
        markup=False,
    )
    if progress.unread_blobs:
        out().print(f"{progress.unread_blobs:,} files wait to be read")
    if progress.done < progress.total and not progress.active:
        out().print("nobody is at it now: start the hub, or run `cairn rescan --now`")


def _duration(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(round(seconds)))
