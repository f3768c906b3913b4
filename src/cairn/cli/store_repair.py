"""`cairn store repair`: heal what is damaged, name what is lost."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import byte_progress, out, print_json, visible
from cairn.cli.damaged_files import print_damage
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir, or_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cairn.domain import Digest
    from cairn.workflows.damage import Damage
    from cairn.workflows.house import Keeper
    from cairn.workflows.repair import Origin, Repaired

    Suspects = Callable[[Iterable[tuple[Digest, str]]], list[Damage]]


@click.command()
@click.option(
    "--from",
    "places",
    metavar="DIR|FILE|URL",
    multiple=True,
    help="Where copies may be: another store, a hub's data directory, a folder of files, what"
    " `cairn store export` wrote, or the address of another hub with the same repos. May be given"
    " several times.",
)
@click.option(
    "--token",
    envvar="HF_TOKEN",
    help="What the hub at --from is asked with (default: HF_TOKEN); it goes nowhere else.",
)
@click.option("--verify", is_flag=True, help="Read every blob first, to find damage not yet known.")
@or_folder
@data_dir
@as_json
def repair(
    places: tuple[str, ...],
    token: str | None,
    verify: bool,
    root: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Make damaged and lost blobs whole again; exit 1 if one stays lost.

    Looks at what `verify` or a read found damaged and at what is needed and missing. Bytes come
    from the store itself, where it has them twice, then from the places given. Of what stays
    lost the repos, revisions and files are named. Safe beside a running hub.

    Example: cairn store repair --verify --from /backup/cairn-data --from https://huggingface.co
    """
    from cairn.workflows.repair import repair as heal

    own, keeper, suspects = _target(root, data)
    origins = _origins(places, own, token, repos=root is None)
    suspected = suspects(_verified(keeper) if verify else ())
    total = sum(damage.size_bytes or 0 for damage in suspected)
    with byte_progress("repairing", total) as progress:
        done = heal(keeper, suspected, origins, progress)
    if as_json:
        print_json(_plain(done))
    else:
        _print(done, complete=verify)
    if done.lost:
        raise click.exceptions.Exit(1)


def _target(root: Path | None, data: Path | None) -> "tuple[Path, Keeper, Suspects]":
    """The folder of a store, what keeps it, and how to find what may be damaged in it."""
    from functools import partial

    from cairn.config import load_settings
    from cairn.workflows.folder_store import open_folder
    from cairn.workflows.repair import suspects_in, suspects_of

    if root:
        folder = open_folder(root)
        return root, folder, partial(suspects_in, folder.store)
    house = open_hub(data)
    return load_settings(data_dir=data).store_dir, house, partial(suspects_of, house)


def _origins(
    places: tuple[str, ...], own: Path, token: str | None, *, repos: bool
) -> "list[Origin]":
    """Where copies may be.

    Raises:
        RequestError: a hub is to be asked for blobs that no repo holds, or several hubs with
            one token.
    """
    from cairn.errors import RequestError

    hubs = [place for place in places if "://" in place]
    if hubs and not repos:
        raise RequestError(f"{hubs[0]}: hubs are asked for files of repos, and a folder has none")
    if len(hubs) > 1 and token:
        raise RequestError("a token is for one hub: repair from one after the other")
    return [_origin(place, own, token) for place in places]


def _origin(place: str, own: Path, token: str | None) -> "Origin":
    if "://" in place:
        from cairn.hub.mirror import Mirror

        return Mirror(place, token)
    from cairn.workflows.origins import local_origin

    return local_origin(Path(place), own)


def _verified(keeper: "Keeper") -> "tuple[tuple[Digest, str], ...]":
    with byte_progress("verifying", keeper.store.stats().logical_bytes) as progress:
        return keeper.store.verify(None, progress).bad


def _plain(done: "Repaired") -> dict[str, object]:
    return {
        "healed": [{**one.damage.as_json(), "from": one.origin} for one in done.healed],
        "lost": [damage.as_json() for damage in done.lost],
    }


def _print(done: "Repaired", *, complete: bool) -> None:
    for one in done.healed:
        out().print(f"HEALED {one.damage.digest.hex}: from {visible(one.origin)}", style="green")
        for place in (*one.damage.locations, *one.damage.names):
            out().print(f"  {visible(str(place))}")
    print_damage("LOST", done.lost)
    if done.healed or done.lost:
        out().print(f"{len(done.healed):,} blobs healed, {len(done.lost):,} lost")
    else:
        out().print("no damage is known" + ("" if complete else "; --verify looks for more"))
    if done.lost:
        out().print("give --from with places that may hold copies, or upload the files again")
