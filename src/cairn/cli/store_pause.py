"""`cairn store pause` and `resume`: have a hub leave what lands as it is, for a while."""

from pathlib import Path

import click

from cairn.cli.console import out
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import data_dir


@click.command()
@data_dir
def pause(data: Path | None) -> None:
    """Have running hubs stop optimizing, until `resume`. Nothing is lost.

    Outlives restarts. `cairn store optimize` still works: whoever calls it means it.

        cairn store pause --data cairn-data
    """
    from cairn.workflows.pausing import pause as begin

    begun = begin(open_hub(data), None)
    out().print("paused; `cairn store resume` goes on" if begun else "it was paused already")


@click.command()
@data_dir
def resume(data: Path | None) -> None:
    """Have hubs go on with what waits.

    They begin within a second, where a pause ended them:

        cairn store resume --data cairn-data
    """
    from cairn.workflows.pausing import resume as end

    ended = end(open_hub(data), None)
    out().print("hubs go on with what waits" if ended else "it was not paused")
