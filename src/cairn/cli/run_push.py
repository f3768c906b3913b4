"""`cairn run push` and `fetch`: runs to and from a hub or a store, as differences where it can."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, err, human_bytes, out, print_ascii_json, visible
from cairn.cli.options import LOCAL_PATH, as_json
from cairn.errors import NamingError

if TYPE_CHECKING:
    from cairn.workflows.run_places import RunPlace

_NICENESS = 10
_PLACE_HELP = "hub:org/name, org/name, or store:FOLDER/NAME."

at_hub = click.option(
    "--hub", metavar="URL", envvar="HF_ENDPOINT", help="The hub's address (default: HF_ENDPOINT)."
)
with_token = click.option(
    "--token", envvar="HF_TOKEN", help="What the hub is asked with (default: HF_TOKEN)."
)


@click.command()
@click.argument("folder", metavar="RUN", type=LOCAL_PATH)
@click.argument("target", metavar="PLACE", help=_PLACE_HELP)
@at_hub
@with_token
@click.option("--background", is_flag=True, help="Take less of the processor than other programs.")
@as_json
def push(
    folder: Path, target: str, hub: str | None, token: str | None, background: bool, as_json: bool
) -> None:
    """Send a run's checkpoints, record and curves to a hub or a store.

    What is there already is not sent. It may be done while the run goes on. After a lost
    connection the same command goes on where it was. Of checkpoints that were removed here, those
    pushed from here are removed there too.
    """
    from cairn.workflows.run_pushing import push_run

    if background:
        os.nice(_NICENESS)
    place = place_at(target, hub, token)

    def told(step: str, size_bytes: int) -> None:
        if step and not as_json:
            err().print(f"sending {step}, {human_bytes(size_bytes)}")

    done = push_run(folder, place, told)
    if as_json:
        print_ascii_json(
            {
                "place": place.name,
                "sent": list(done.sent),
                "removed": list(done.removed),
                "size_bytes": done.size_bytes,
            }
        )
        return
    sent = ", ".join(done.sent) or "record and curves alone"
    out().print(f"{visible(place.name)} has all of it; sent {sent}")


@click.command()
@click.argument("source", metavar="PLACE", help=_PLACE_HELP)
@click.argument("folder", type=LOCAL_PATH)
@click.option("--step", type=click.IntRange(min=0), help="Fetch this checkpoint, not the newest.")
@click.option("--all", "every", is_flag=True, help="Fetch every checkpoint.")
@at_hub
@with_token
@as_json
def fetch(
    source: str,
    folder: Path,
    step: int | None,
    every: bool,
    hub: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Fetch a run from a hub or a store: the checkpoint to go on from, record and curves.

    Those that it keeps as its best come too. Nothing of it is executed.
    """
    told = fetch_into(place_at(source, hub, token), folder, step, every=every)
    if as_json:
        print_ascii_json(told)
    else:
        steps = ", ".join(map(str, told["steps"])) or "none"
        out().print(f"{visible(str(folder))}: steps {steps} of {visible(source)}")


def fetch_into(
    place: "RunPlace", folder: Path, step: int | None, *, every: bool = False
) -> dict[str, Any]:
    """Fetch what was asked for, with progress; says what."""
    from cairn.workflows.run_fetching import chosen_steps, fetch_run, placed_run

    run, files = placed_run(place)
    steps = chosen_steps(run, step, every=every)
    size = sum(one.size_bytes for one in steps)
    with byte_progress("fetching", size) as progress:
        fetch_run(run, files, steps, folder, progress)
    return {
        "place": place.name,
        "folder": str(folder),
        "steps": [one.step for one in steps],
        "size_bytes": size,
    }


def is_place(text: str) -> bool:
    """Whether a text names a place beside the folders of this machine."""
    from cairn.workflows.run_places import HUB, STORE

    return text.startswith((HUB, STORE))


def place_at(text: str, hub: str | None, token: str | None) -> "RunPlace":
    """A store in a folder, or a repo of a hub.

    Raises:
        NamingError: it is neither. RequestError: no hub is named.
    """
    from cairn.workflows.run_places import STORE, StorePlace

    if text.startswith(STORE):
        return StorePlace.parse(text)
    if Path(text).is_dir():
        raise NamingError(f"{text} is a folder: write hub:{text}, or store:{text}/NAME for a store")
    from cairn.hub.remote_run import RemoteRun

    return RemoteRun(text, hub, token)
