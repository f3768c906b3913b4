"""`cairn store export` and `import`: a family of checkpoints as one file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible
from cairn.cli.options import LOCAL_PATH, as_json, in_folder, or_folder

if TYPE_CHECKING:
    from cairn.store import FamilyContents, FamilyHead
    from cairn.store.family_file import Write

_PIPE = "-"

max_plain = click.option(
    "--max-plain",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="Accept so many bytes of files (default: a thousand times what the family file has).",
)


@click.command("export")
@click.argument("wanted", metavar="[NAMES]...", nargs=-1)
@in_folder
@click.option(
    "-o", "--output", "target", required=True, metavar="FILE", help="Write here; - is a pipe."
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@as_json
def export_family(
    wanted: tuple[str, ...], root: Path, target: str, force: bool, as_json: bool
) -> None:
    r"""Write names, or all names in folders, to one file about as large as they are stored.

    \b
    cairn store export base tuned --store kept -o family.cairn

    Without names everything goes along. What the files are made from does in any case.
    """
    from dataclasses import asdict

    from cairn.workflows.family_names import names_wanted
    from cairn.workflows.folder_store import open_folder

    store = open_folder(root).store
    names = names_wanted(store, wanted)
    with store.exporting(named.blob.digest for named in names) as export:
        head = export.head
        with (
            _writing(target, head, force=force) as write,
            byte_progress("exporting", head.stored_bytes) as progress,
        ):
            export.write(write, progress, names=names)
    if target == _PIPE:
        return
    file_bytes = Path(target).stat().st_size
    if as_json:
        print_json({"names": len(names), **asdict(head), "file_bytes": file_bytes})
        return
    sizes = f"{human_bytes(head.plain_bytes)} in {human_bytes(file_bytes)}"
    out().print(f"{visible(target)}: {len(names):,} names, {sizes}")


@contextmanager
def _writing(target: str, head: "FamilyHead", *, force: bool) -> "Iterator[Write]":
    """Where the bytes go: a pipe, or a file that appears when it is whole."""
    from cairn.errors import RequestError
    from cairn.workflows.written import check_target, replacing

    if target == _PIPE:
        if sys.stdout.isatty():
            raise RequestError("a family file is not for a terminal: name a file or a pipe")
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    check_target([Path(target)], head.stored_bytes, force=force)
    with replacing(Path(target)) as draft:
        yield draft.write


@click.command("import")
@click.argument("path", metavar="FILE", type=LOCAL_PATH)
@or_folder
@click.option("--list", "only_list", is_flag=True, help="Say what is in it; import nothing.")
@click.option("--into", default="", metavar="PREFIX", help="Put this and a slash before names.")
@click.option("--replace", is_flag=True, help="Move names that belong to other bytes.")
@max_plain
@as_json
def import_family(
    path: Path,
    root: Path | None,
    only_list: bool,
    into: str,
    replace: bool,
    max_plain: int | None,
    as_json: bool,
) -> None:
    r"""Take the files of a family file in; what is there already is shared.

    \b
    cairn store import family.cairn --store kept

    Every part and every file is compared with its digest before it counts. A run that was
    interrupted is simply run again.
    """
    from dataclasses import asdict

    from cairn.errors import RequestError
    from cairn.workflows.family_names import checked_names, import_names
    from cairn.workflows.folder_store import open_folder

    if only_list:
        print_family(path, as_json=as_json)
        return
    if root is None:
        raise RequestError("name the folder that takes the files in: --store DIR")
    with opened(path, max_plain) as family:
        names = checked_names(family)
        store = open_folder(root, create=True).store
        with byte_progress("importing", family.file.head.plain_bytes) as progress:
            done = import_names(store, family, into=into, replace_names=replace, progress=progress)
    if as_json:
        print_json({"names": len(names), **asdict(done)})
        return
    out().print(
        f"{len(names):,} names, {done.new_blobs:,} of {done.blobs:,} files new:"
        f" {human_bytes(done.plain_bytes)}, wrote {human_bytes(done.written_bytes)}"
    )


@contextmanager
def opened(path: Path, max_plain: int | None = None) -> "Iterator[FamilyContents]":
    """A family file whose checksum is right and whose objects fit together."""
    from cairn.store import FamilyContents, FamilyFile

    with FamilyFile(path) as file:
        with byte_progress("checking", file.source.size_bytes) as progress:
            file.check(progress)
        yield FamilyContents(file, max_plain)


def print_family(path: Path, *, as_json: bool) -> None:
    """What a family file says it holds; only its headers and names are read."""
    from dataclasses import asdict

    from rich.table import Table

    from cairn.store import FamilyFile

    with FamilyFile(path) as file:
        head, names = file.head, file.names()
    if as_json:
        rows = [
            {"name": n.name, "sha256": n.blob.digest.hex, "size_bytes": n.blob.size_bytes}
            for n in names
        ]
        print_json({**asdict(head), "names": rows})
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("sha256")
    for named in names:
        size = human_bytes(named.blob.size_bytes)
        table.add_row(visible(named.name), size, named.blob.digest.hex[:16])
    out().print(table)
    plain, stored = human_bytes(head.plain_bytes), human_bytes(head.stored_bytes)
    out().print(f"{head.blobs:,} files of {plain} in {stored}, {head.parts:,} parts")


def verify_family(path: Path, *, as_json: bool) -> None:
    """Read a family file whole and compare everything in it with its digest."""
    from dataclasses import asdict

    from cairn.workflows.family_names import checked_names

    with opened(path) as family:
        checked_names(family)
        with byte_progress("verifying", family.file.head.plain_bytes) as progress:
            family.verify(progress)
        head = family.file.head
    if as_json:
        print_json({**asdict(head), "bad": []})
        return
    out().print(f"{head.blobs:,} files, {human_bytes(head.plain_bytes)}: all good")
