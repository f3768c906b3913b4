"""`cairn advisories`: what is known of flaws in loaders and of bad files, and taking more in."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import out, print_ascii_json, visible
from cairn.cli.options import LOCAL_PATH, as_json
from cairn.errors import EntryNotFoundError

if TYPE_CHECKING:
    from cairn.domain import Advisory
    from cairn.scanner.advisories import AdvisoryShelf

_SHOWN_UNREADABLE = 5

of_hub = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data directory of a hub (default: your own, for cairn scan and cairn monitor).",
)


@click.group(no_args_is_help=True)
def advisories() -> None:
    """List and import what is known of flaws in loaders and of bad files.

    Yours are kept in ~/.config/cairn/advisories, a hub's in its data directory.
    """


@advisories.command("import")
@click.argument("path", type=LOCAL_PATH)
@of_hub
@as_json
def import_(path: Path, data: Path | None, as_json: bool) -> None:
    """Take in OSV records, a zip export of them, or a list of files known to be bad.

    Nothing is fetched: get the export (https://google.github.io/osv.dev/data/) where there is a
    network. Of its records only those about what loads checkpoints are kept. A list names files
    by sha256, reason and source, as CSV or JSON.

    Example: cairn advisories import all.zip --data cairn-data
    """
    from dataclasses import asdict

    from cairn.workflows.advising import import_advisories

    done = import_advisories(shelf_of(data), path)
    if as_json:
        print_ascii_json(asdict(done))
        return
    out().print(
        f"{done.records:,} advisories and {done.known_files:,} known files taken in;"
        f" {done.irrelevant:,} records are about nothing that loads checkpoints,"
        f" {done.withdrawn:,} were withdrawn"
    )
    for name in done.unreadable[:_SHOWN_UNREADABLE]:
        out().print(f"not read: {visible(name)}")
    if len(done.unreadable) > _SHOWN_UNREADABLE:
        out().print(f"and {len(done.unreadable) - _SHOWN_UNREADABLE:,} more not read")


@advisories.command()
@of_hub
@as_json
def ls(data: Path | None, as_json: bool) -> None:
    """List all advisories, which releases of each loader are good, and how many files are known."""
    from rich.table import Table

    from cairn.scanner.reports.plain import floor_json

    current = shelf_of(data).current()
    listed = sorted(current.advisories, key=lambda one: (one.loader, one.id))
    floors = sorted(current.floors.values(), key=lambda one: one.loader)
    known = sorted((current.known_files or {}).values(), key=lambda one: one.digest.hex)
    if as_json:
        files = [
            {"sha256": one.digest.hex, "reason": one.reason, "source": one.source} for one in known
        ]
        shape = {
            "version": current.version,
            "advisories": [_plain(one) for one in listed],
            "loaders": [floor_json(one) for one in floors],
            "known_files": files,
        }
        print_ascii_json(shape)
        return
    table = Table("loader", "advisory", "also known as", "what")
    for one in listed:
        aliases = ", ".join(one.aliases)
        table.add_row(*(visible(text) for text in (one.loader, one.id, aliases, one.summary)))
    out().print(table)
    for floor in floors:
        out().print(visible(f"safe only with {floor}"))
    out().print(f"{len(known):,} files known to be bad; version {current.version}")


@advisories.command()
@click.argument("what", metavar="ID|SHA256")
@of_hub
def forget(what: str, data: Path | None) -> None:
    """Take out an imported advisory, or a file from the list of those known to be bad."""
    from cairn.workflows.advising import forget as take_out

    if not take_out(shelf_of(data), what):
        raise EntryNotFoundError(f"nothing imported has the id or digest {what}")
    out().print(f"{visible(what)} is forgotten")


def shelf_of(data: Path | None) -> "AdvisoryShelf":
    """The advisories of a hub, or a person's own."""
    if data is not None:
        from cairn.cli.kept_hub import open_hub

        return open_hub(data).advisories
    from cairn.config import user_folder
    from cairn.scanner.advisories import AdvisoryShelf

    return AdvisoryShelf(user_folder() / "advisories")


def _plain(advisory: "Advisory") -> dict[str, object]:
    return {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "loader": advisory.loader,
        "summary": advisory.summary,
        "source": advisory.source,
        "ranges": [
            {
                "introduced": one.introduced,
                "fixed": one.fixed or None,
                "last_affected": one.last_affected or None,
            }
            for one in advisory.ranges
        ],
    }
