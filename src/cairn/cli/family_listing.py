"""Looks into a family file without importing it: what is in it, and whether all of it is sound."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.cli.console import byte_progress, human_bytes, out, print_json, visible

if TYPE_CHECKING:
    from cairn.store import FamilyContents, NamedBlob
    from cairn.workflows.family_repos import Listed


@contextmanager
def opened_family(path: Path, max_decoded: int | None = None) -> "Iterator[FamilyContents]":
    """A family file whose checksum is right and whose objects fit together."""
    from cairn.store import FamilyContents, FamilyFile

    with FamilyFile(path) as file:
        with byte_progress("checking", file.source.size_bytes) as progress:
            file.check(progress)
        yield FamilyContents(file, max_decoded)


def print_family(path: Path, *, as_json: bool) -> None:
    """What a family file says it holds; the packs in it are not read."""
    from cairn.store import FamilyFile
    from cairn.workflows.family_repos import list_repos

    with FamilyFile(path) as file:
        head, names, repos = file.head, file.names(), list_repos(file)
    if as_json:
        print_json(
            {
                **asdict(head),
                "names": [
                    {"name": n.name, "sha256": n.blob.digest.hex, "size_bytes": n.blob.size_bytes}
                    for n in names
                ],
                "repos": [
                    {
                        "repo": str(repo.arrival.id),
                        "private": repo.arrival.private,
                        "gated": repo.arrival.gated,
                        "commits": repo.commits,
                        "refs": {ref.name: ref.commit for ref in repo.arrival.refs},
                    }
                    for repo in repos
                ],
            }
        )
        return
    if names:
        _print_names(names)
    if repos:
        _print_repos(repos)
    plain, stored = human_bytes(head.plain_bytes), human_bytes(head.stored_bytes)
    out().print(f"{head.blobs:,} files of {plain} in {stored}, {head.parts:,} parts")


def _print_names(names: "Iterable[NamedBlob]") -> None:
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("sha256")
    for named in names:
        size = human_bytes(named.blob.size_bytes)
        table.add_row(visible(named.name), size, named.blob.digest.hex[:16])
    out().print(table)


def _print_repos(repos: "Iterable[Listed]") -> None:
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("repo", overflow="fold")
    table.add_column("commits", justify="right")
    table.add_column("refs", overflow="fold")
    table.add_column("access")
    for repo in repos:
        refs = ", ".join(ref.short_name for ref in repo.arrival.refs)
        access = "private" if repo.arrival.private else "public"
        gated = f", gated ({repo.arrival.gated})" if repo.arrival.gated else ""
        name, commits = visible(str(repo.arrival.id)), f"{repo.commits:,}"
        table.add_row(name, commits, visible(refs), access + gated)
    out().print(table)


def verify_family(path: Path, *, as_json: bool) -> None:
    """Read a family file whole and compare everything in it with its digest."""
    from cairn.workflows.family_names import check_names
    from cairn.workflows.family_repos import check_histories

    with opened_family(path) as family:
        check_names(family)
        check_histories(family)
        head = family.file.head
        with byte_progress("verifying", head.plain_bytes) as progress:
            family.verify(progress)
    if as_json:
        print_json({**asdict(head), "bad": []})
        return
    out().print(f"{head.blobs:,} files, {human_bytes(head.plain_bytes)}: all good")
