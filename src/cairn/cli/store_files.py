"""`cairn store add`, `get`, `ls`, `rm`: a folder as a store, without a hub."""

from datetime import UTC, datetime
from pathlib import Path

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.options import LOCAL_PATH, as_json, in_folder


@click.command()
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=LOCAL_PATH)
@in_folder
@click.option("--prefix", default="", help="Put this and a slash before every name.")
@click.option("--replace", is_flag=True, help="Move names that belong to other bytes.")
@as_json
def add(files: tuple[Path, ...], root: Path, prefix: str, replace: bool, as_json: bool) -> None:
    """Put files, or all files in folders, into a store; tensors it has are not kept twice.

    The folder becomes a store if it is empty or not there. Each file gets its own name, those in
    a folder the folder's name and their path in it.
    """
    from cairn.workflows.folder_store import add_file, named_files, open_folder

    found = named_files(files, prefix)
    folder = open_folder(root, create=True)
    added = []
    with byte_progress("adding", sum(file.size_bytes for file in found.values())) as progress:
        for name, file in found.items():
            added.append(add_file(folder, name, file, replace=replace, progress=progress))
    plain = sum(one.blob.size_bytes for one in added)
    written = sum(one.written_bytes for one in added)
    if as_json:
        rows = [
            {
                "name": one.name,
                "sha256": one.blob.digest.hex,
                "size_bytes": one.blob.size_bytes,
                "written_bytes": one.written_bytes,
            }
            for one in added
        ]
        print_json({"added": rows, "size_bytes": plain, "written_bytes": written})
        return
    for one in added:
        size, took = human_bytes(one.blob.size_bytes), human_bytes(one.written_bytes)
        out().print(f"{visible(one.name)}: {size} took {took}")
    if plain and len(added) > 1:
        saved = 100 * (1 - written / plain)
        out().print(f"{human_bytes(plain)} took {human_bytes(written)}: {saved:.1f} % saved")


@click.command()
@click.argument("wanted", metavar="NAME|SHA256")
@in_folder
@click.option(
    "-o", "--output", "target", type=LOCAL_PATH, required=True, metavar="FILE", help="Write here."
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def get(wanted: str, root: Path, target: Path, force: bool) -> None:
    """Write a file of the store, byte for byte; it appears when its SHA-256 is right."""
    from cairn.workflows.folder_store import find, get_file, open_folder

    store = open_folder(root).store
    blob = find(store, wanted)
    with byte_progress("getting", blob.size_bytes) as progress:
        get_file(store, blob, target, force=force, progress=progress)
    out().print(f"{visible(str(target))}: {human_bytes(blob.size_bytes)}, {blob.digest}")


@click.command()
@click.argument("prefix", default="")
@in_folder
@as_json
def ls(prefix: str, root: Path, as_json: bool) -> None:
    """List what a store holds: names, bytes, what each takes, since when.

    What several share is split between them, so the bytes taken add up.
    """
    from rich.table import Table

    from cairn.workflows.folder_store import open_folder, shares

    store = open_folder(root).store
    listed = store.names.list(prefix)
    taken = shares(store, listed)
    if as_json:
        print_json(
            [
                {
                    "name": named.name,
                    "sha256": named.blob.digest.hex,
                    "size_bytes": named.blob.size_bytes,
                    "taken_bytes": taken[named.name].fair_bytes,
                    "own_bytes": taken[named.name].own_bytes,
                    "added": _when(named.added_us).isoformat(),
                    "metadata": dict(named.metadata),
                }
                for named in listed
            ]
        )
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    for heading in ("size", "takes"):
        table.add_column(heading, justify="right")
    for heading in ("added", "sha256"):
        table.add_column(heading)
    for named in listed:
        size, takes = named.blob.size_bytes, taken[named.name].fair_bytes
        when = _when(named.added_us).strftime("%Y-%m-%d %H:%M")
        digest = named.blob.digest.hex[:16]
        table.add_row(visible(named.name), human_bytes(size), human_bytes(takes), when, digest)
    out().print(table)


@click.command()
@click.argument("names", metavar="NAMES...", nargs=-1, required=True)
@in_folder
def rm(names: tuple[str, ...], root: Path) -> None:
    """Remove names from a store, and free what nothing else in it needs.

    All of them or, where one is not there, none. In a hub's store only the hub's gc frees bytes.
    """
    from cairn.workflows.folder_store import open_folder, remove_names

    done = remove_names(open_folder(root).store, names)
    out().print(f"removed {len(set(names)):,} names; freed {human_bytes(done.freed_bytes)}")


def _when(added_us: int) -> datetime:
    return datetime.fromtimestamp(added_us / 1e6, UTC)
