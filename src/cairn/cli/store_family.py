"""`cairn store export` and `import`: a family of checkpoints as one file."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, err, human_bytes, out, print_json, visible
from cairn.cli.family_listing import opened_family, print_family
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import LOCAL_PATH, as_json, data_dir, or_folder
from cairn.cli.targets import parse_repo

if TYPE_CHECKING:
    from cairn.domain import Digest
    from cairn.store import BlobStore, Export, FamilyHead, Imported
    from cairn.store.family_file import Write

_PIPE = "-"


@click.command("export")
@click.argument("wanted", metavar="[REPOS|NAMES]...", nargs=-1)
@click.option(
    "-o", "--output", "target", required=True, metavar="FILE", help="Write here; - is a pipe."
)
@click.option("--family", is_flag=True, help="And all repos connected to these by base_model.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@or_folder
@data_dir
@as_json
def export_family(
    wanted: tuple[str, ...],
    target: str,
    family: bool,
    force: bool,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write repos with their histories to one file, about as large as they are stored.

    \b
    cairn store export org/base org/tuned -o family.cairn
    cairn store export org/base --family -o - | ssh other 'cat > family.cairn'
    cairn store export base tuned --store kept -o family.cairn

    With --store, names or all names in folders of a store without a hub; all, if none are
    given. What the files are made from goes along in any case.
    """  # noqa: D301 - click knows the backspace, not two characters
    counts = (
        _export_names(root, wanted, target, force=force)
        if root is not None
        else _export_repos(data, wanted, target, family=family, force=force)
    )
    if target == _PIPE:
        return
    file_bytes = Path(target).stat().st_size
    if as_json:
        print_json({**counts, "file_bytes": file_bytes})
        return
    what = " and ".join(f"{counts[key]:,} {key}" for key in ("repos", "names") if key in counts)
    sizes = f"{human_bytes(counts['plain_bytes'])} in {human_bytes(file_bytes)}"
    out().print(f"{visible(target)}: {what}, {sizes}")


def _export_names(
    root: Path, wanted: tuple[str, ...], target: str, *, force: bool
) -> dict[str, int]:
    from cairn.workflows.family_names import names_wanted
    from cairn.workflows.folder_store import open_folder

    store = open_folder(root).store
    names = names_wanted(store, wanted)
    blobs = (named.blob.digest for named in names)
    with _exporting(store, blobs, target, force=force) as (export, write, progress):
        export.write(write, progress, names=names)
        return {"names": len(names), **asdict(export.head)}


def _export_repos(
    data: Path | None, wanted: tuple[str, ...], target: str, *, family: bool, force: bool
) -> dict[str, int]:
    from cairn.errors import RequestError
    from cairn.workflows.family_repos import describe_departure, with_families

    if not wanted:
        raise RequestError("name the repos to export, such as org/name; or a folder with --store")
    repo_ids = list(dict.fromkeys(map(parse_repo, wanted)))
    house = open_hub(data)
    if family:
        repo_ids = with_families(house, repo_ids)
    leaving = describe_departure(house, repo_ids)
    with _exporting(house.store, leaving.blobs, target, force=force) as (export, write, progress):
        export.write(write, progress, repos=leaving.members)
        return {"repos": len(repo_ids), **asdict(export.head)}


@contextmanager
def _exporting(
    store: "BlobStore", blobs: "Iterable[Digest]", target: str, *, force: bool
) -> "Iterator[tuple[Export, Write, Callable[[int], None]]]":
    """An export, where its bytes go, and a progress bar."""
    with (
        store.exporting(blobs) as export,
        _writing(target, export.head, force=force) as write,
        byte_progress("exporting", export.head.stored_bytes) as progress,
    ):
        yield export, write, progress


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
@click.option("--list", "only_list", is_flag=True, help="Say what is in it; import nothing.")
@click.option("--into", metavar="NAMESPACE", help="Give repos this namespace; put it before names.")
@click.option("--replace", is_flag=True, help="Move names that belong to other bytes.")
@click.option(
    "--max-decoded",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="How much reading its files once may decode (default: a thousand times what it has).",
)
@or_folder
@data_dir
@as_json
def import_family(
    path: Path,
    only_list: bool,
    into: str | None,
    replace: bool,
    max_decoded: int | None,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Take the repos or names of a family file in; what is there already is shared.

    \b
    cairn store import family.cairn --into org
    cairn store import family.cairn --list
    cairn store import family.cairn --store kept

    Every part and every file is compared with its digest before it counts. A run that was
    interrupted is simply run again. Of a repo that is there what is missing is added.
    """  # noqa: D301 - see above
    if only_list:
        print_family(path, as_json=as_json)
    elif root is not None:
        _import_names(path, root, into or "", max_decoded, replace=replace, as_json=as_json)
    else:
        _import_repos(path, data, into, max_decoded, as_json=as_json)


def _import_names(
    path: Path, root: Path, into: str, max_decoded: int | None, *, replace: bool, as_json: bool
) -> None:
    from cairn.workflows.family_names import checked_names, import_names
    from cairn.workflows.folder_store import open_folder

    with opened_family(path, max_decoded) as family:
        names = checked_names(family)
        store = open_folder(root, create=True).store
        with byte_progress("importing", family.file.head.plain_bytes) as progress:
            done = import_names(store, family, into=into, replace_names=replace, progress=progress)
    if as_json:
        print_json({"names": len(names), **asdict(done)})
        return
    out().print(f"{len(names):,} names, {_in_words(done)}")


def _import_repos(
    path: Path, data: Path | None, into: str | None, max_decoded: int | None, *, as_json: bool
) -> None:
    from cairn.workflows.family_repos import import_repos

    house = open_hub(data)
    with (
        opened_family(path, max_decoded) as family,
        byte_progress("importing", family.file.head.plain_bytes) as progress,
    ):
        done, arrived = import_repos(house, family, into=into, progress=progress)
    if as_json:
        repos = [
            {"repo": str(one.id), "new_commits": one.new_commits, "left_out": list(one.left_out)}
            for one in arrived
        ]
        print_json({"repos": repos, **asdict(done)})
        return
    for one in arrived:
        out().print(f"{visible(str(one.id))}: {one.new_commits:,} new commits")
        for why in one.left_out:
            err().print(f"left out: {visible(why)}")
    out().print(_in_words(done))


def _in_words(done: "Imported") -> str:
    took = f"{human_bytes(done.plain_bytes)}, wrote {human_bytes(done.written_bytes)}"
    return f"{done.new_blobs:,} of {done.blobs:,} files new: {took}"
