"""Command-line options that several commands share, and the kinds of values they take."""

from collections.abc import Callable, Hashable
from enum import Enum
from pathlib import Path
from typing import Any

import click

from cairn.cli.quantities import Duration

MAIN = "main"  # the revision where none is named

LOCAL_PATH = click.Path(path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

data_dir = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data directory (default: CAIRN_DATA_DIR or ./cairn-data).",
)
in_folder = click.option(
    "--store",
    "root",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder that is the store.",
)
or_folder = click.option(
    "--store",
    "root",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that is a store, in place of a hub's.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

profile_name = click.option(
    "--profile",
    type=click.Choice(["fast", "small"]),
    default="small",
    show_default=True,
    help="Read twice as fast, or take less space: see docs/store.md.",
)
max_depth = click.option(
    "--max-depth",
    type=click.IntRange(0, 16),  # as the settings have it
    metavar="N",
    help="Read through at most N others for each part (default: CAIRN_SMALL_MAX_DEPTH or"
    " CAIRN_FAST_MAX_DEPTH).",
)
max_time = click.option("--max-time", type=Duration(), help="End after this long, such as 30m.")
cpu_share = click.option(
    "--cpu-share",
    type=float,
    metavar="SHARE",
    help="Use this much of one core on average, such as 0.5, and rest in between.",
)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def usual(name: str, value: str | float, help: str, *words: str) -> Decorator:  # noqa: A002 - click's
    """An option with a usual value, which its help shows: one of `words`, or of its type."""
    kind = click.Choice(words) if words else type(value)
    return click.option(name, type=kind, default=value, show_default=True, help=help)


def together(*options: Decorator) -> Decorator:
    """Several options as one, in the order they are listed in."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def hub_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--hub` and `--token`."""
    token = click.option(
        "--token",
        envvar="HF_TOKEN",
        help="What the hub at --hub is asked with (default: HF_TOKEN); it goes nowhere else.",
    )
    hub = click.option(
        "--hub", metavar="URL", help="The hub where the repo is (default: the one kept here)."
    )
    return hub(token(command))


class OneOf(click.Choice[Enum]):
    """One member of an enum, given by its value: the spelling of JSON and of documents."""

    def normalize_choice(self, choice: Hashable, ctx: click.Context | None) -> str:
        """See `click.Choice.normalize_choice`, which takes the names of the members."""
        spelt = choice.value if isinstance(choice, Enum) else choice
        return super().normalize_choice(spelt, ctx)
