"""`cairn store prune`: which steps of a training series stay."""

from pathlib import Path

import click

from cairn.cli.console import human_bytes, out, print_json
from cairn.cli.options import as_json, in_folder

_COUNT = click.IntRange(min=1)


@click.command()
@click.argument("series")
@in_folder
@click.option("--last", type=_COUNT, default=None, metavar="N", help="Keep the newest N steps.")
@click.option("--every", type=_COUNT, default=None, metavar="K", help="Keep steps K divides.")
@click.option("--best", type=_COUNT, default=None, metavar="M", help="Keep the best M steps.")
@click.option(
    "--metric", default="loss", show_default=True, help="What is best: a key of the metadata."
)
@click.option("--highest", is_flag=True, help="The highest value is the best, not the lowest.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@as_json
def prune(
    series: str,
    root: Path,
    last: int | None,
    every: int | None,
    best: int | None,
    metric: str,
    highest: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove the steps of a training series that no rule keeps; the newest always stays."""
    from cairn.domain import Retention
    from cairn.errors import EntryNotFoundError
    from cairn.workflows.folder_store import open_folder
    from cairn.workflows.series import Series

    policy = Retention(last or 0, every or 0, best or 0, metric, highest)
    open_folder(root)
    with Series(root, series) as opened:
        if not opened.steps():
            raise EntryNotFoundError(f"{root} holds no steps of a series {series!r}")
        done = opened.prune(policy, dry_run=dry_run)
    if as_json:
        freed = done.collected.freed_bytes
        print_json({"removed": done.removed, "kept": done.kept, "freed_bytes": freed})
        return
    steps = ", ".join(map(str, done.removed)) or "none"
    word = "would remove" if dry_run else "removed"
    out().print(f"{word} {len(done.removed):,} of {len(done.removed) + len(done.kept):,}: {steps}")
    if not dry_run:
        out().print(f"freed {human_bytes(done.collected.freed_bytes)}")
